# The `treadle` command: the lab and the command line, with Chart.js inside for the report.

find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
set(TREADLE_CHART_JS /usr/share/javascript/chart.js/chart.min.js CACHE FILEPATH
    "Chart.js (Debian's package libjs-chart.js), inlined into the lab's report")

file(GLOB treadle_tool_sources CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/treadle/lab/*.cpp ${PROJECT_SOURCE_DIR}/treadle/cli/*.cpp)
list(FILTER treadle_tool_sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
set(treadle_main ${PROJECT_SOURCE_DIR}/treadle/cli/main.cpp)
list(REMOVE_ITEM treadle_tool_sources ${treadle_main})

if(NOT EXISTS ${TREADLE_CHART_JS})
  message(FATAL_ERROR "${TREADLE_CHART_JS} is missing: install libjs-chart.js (./do setup)")
endif()
set_source_files_properties(${PROJECT_SOURCE_DIR}/cmake/chart_js.S PROPERTIES
  COMPILE_DEFINITIONS TREADLE_CHART_JS="${TREADLE_CHART_JS}"
  OBJECT_DEPENDS ${TREADLE_CHART_JS})

# All but main(), so that the lab's own tests can link it.
add_library(treadle_tool STATIC ${treadle_tool_sources} ${PROJECT_SOURCE_DIR}/cmake/chart_js.S)
set_target_properties(treadle_tool PROPERTIES
  ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} LINKER_LANGUAGE CXX)
target_compile_definitions(treadle_tool PRIVATE TREADLE_VERSION="${PROJECT_VERSION}"
  TREADLE_LIBRARY_FOLDER="${CMAKE_INSTALL_LIBDIR}"
  TREADLE_PROGRAM_FOLDER="${CMAKE_INSTALL_LIBEXECDIR}")
target_link_libraries(treadle_tool PRIVATE treadle_options PUBLIC
  treadle_static CLI11::CLI11 nlohmann_json::nlohmann_json)
# Its headers; the code is in treadle/cli/fmt_inside.cpp.
target_include_directories(treadle_tool SYSTEM PUBLIC
  $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
set_source_files_properties(${PROJECT_SOURCE_DIR}/treadle/cli/fmt_inside.cpp PROPERTIES
  SKIP_PRECOMPILE_HEADERS ON)
# A third of a first build was spent on reading these two again and again.
target_precompile_headers(treadle_tool PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:<nlohmann/json.hpp$<ANGLE-R>>
  $<$<COMPILE_LANGUAGE:CXX>:<fmt/format.h$<ANGLE-R>>)

# What the lab runs under `treadle run`: pthreads, and nothing of Treadle's.
file(GLOB treadle_pthread_sources CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/treadle/lab/pthread_program/*.cpp)
add_executable(treadle_lab_pthreads ${treadle_pthread_sources})
set_target_properties(treadle_lab_pthreads PROPERTIES OUTPUT_NAME treadle-lab-pthreads)
target_include_directories(treadle_lab_pthreads PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(treadle_lab_pthreads PRIVATE treadle_options Threads::Threads)

if(EXISTS ${treadle_main})
  add_executable(treadle_command ${treadle_main})
  set_target_properties(treadle_command PROPERTIES OUTPUT_NAME treadle)
  target_compile_definitions(treadle_command PRIVATE TREADLE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(treadle_command PRIVATE treadle_options treadle_tool)
  # `treadle run` is in front of every program that it starts. As small code, and with no C++
  # library to load, it takes 0.9 million instructions; at -O0 and with them 5.2 million.
  target_compile_options(treadle_command PRIVATE $<$<CONFIG:Release>:-Os>)
  target_link_options(treadle_command PRIVATE
    $<$<CONFIG:Release>:-static-libstdc++;-static-libgcc>)
  add_dependencies(treadle_command treadle_lab_pthreads)
  if(TARGET treadle_shim)
    add_dependencies(treadle_command treadle_shim)  # `treadle run` loads it
  endif()
endif()
