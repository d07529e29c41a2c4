# The library: one set of objects, two archives (libtreadle.a and libtreadle.so).

# The rooms of the runtime, lowest first. lab/ and cli/ belong to the command.
set(TREADLE_ROOMS base context queue thread sched sync io task)

set(treadle_globs ${PROJECT_SOURCE_DIR}/treadle/*.cpp)
foreach(room IN LISTS TREADLE_ROOMS)
  list(APPEND treadle_globs ${PROJECT_SOURCE_DIR}/treadle/${room}/*.cpp)
endforeach()
file(GLOB treadle_sources CONFIGURE_DEPENDS ${treadle_globs})
list(FILTER treadle_sources EXCLUDE REGEX "_(test|bench)\\.cpp$")

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  file(GLOB treadle_assembly CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/treadle/context/*_x86_64.S)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  file(GLOB treadle_assembly CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/treadle/context/*_aarch64.S)
else()
  message(FATAL_ERROR "Treadle has no context switch for ${CMAKE_SYSTEM_PROCESSOR}")
endif()

add_library(treadle_objects OBJECT ${treadle_sources} ${treadle_assembly})
set_target_properties(treadle_objects PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_include_directories(treadle_objects PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
target_compile_definitions(treadle_objects PRIVATE TREADLE_VERSION="${PROJECT_VERSION}")
target_link_libraries(treadle_objects PRIVATE treadle_options treadle_instrumentation
                                              Threads::Threads)
target_compile_options(treadle_objects PRIVATE
  # The worker pointer is one segment-relative access, in the shared library too.
  -ftls-model=initial-exec
  # Nobody overrides our functions one by one, so -fPIC need not forbid inlining them.
  -fno-semantic-interposition)

function(treadle_add_library target kind export_name)
  add_library(${target} ${kind})
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:treadle_objects>)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME treadle EXPORT_NAME ${export_name} LINKER_LANGUAGE CXX)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PUBLIC
    Threads::Threads $<BUILD_INTERFACE:treadle_instrumentation>)
  add_library(treadle::${export_name} ALIAS ${target})
endfunction()

treadle_add_library(treadle_static STATIC treadle)
treadle_add_library(treadle_shared SHARED treadle_shared)
# dlclose() leaves it where it is: workers may run in it, and the kernel may look at its restartable
# sequences.
target_link_options(treadle_shared PRIVATE LINKER:-z,nodelete)
set_target_properties(treadle_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
