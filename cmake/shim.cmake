# libtreadle-shim.so: what `treadle run` loads into programs that were not built with Treadle.
#
# It has the whole runtime inside and shows nothing of it: it must not meet the program's own
# libstdc++ or a Treadle that the program brings. A sanitizer's runtime would have to be in the
# program too, so that there is none of it in those builds.

set(TREADLE_HAS_SHIM OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$" AND NOT TREADLE_SANITIZE
   AND NOT TREADLE_COVERAGE)
  set(TREADLE_HAS_SHIM ON)
  file(GLOB_RECURSE treadle_shim_sources CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/treadle/shim/*.cpp ${PROJECT_SOURCE_DIR}/treadle/shim/*_x86_64.S)
  list(FILTER treadle_shim_sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  add_library(treadle_shim SHARED ${treadle_shim_sources} $<TARGET_OBJECTS:treadle_objects>)
  set_target_properties(treadle_shim PROPERTIES
    OUTPUT_NAME treadle-shim LINKER_LANGUAGE CXX CXX_VISIBILITY_PRESET hidden)
  target_include_directories(treadle_shim PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(treadle_shim PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-ftls-model=initial-exec;-fno-semantic-interposition>)
  target_link_libraries(treadle_shim PRIVATE treadle_options treadle_instrumentation
                                             Threads::Threads)
  target_link_options(treadle_shim PRIVATE
    -static-libstdc++ -static-libgcc
    LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/shim.map
    # Before all others: nobody must have made a thread. And for ever.
    LINKER:-z,initfirst LINKER:-z,nodelete LINKER:-z,now)
  install(TARGETS treadle_shim LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
