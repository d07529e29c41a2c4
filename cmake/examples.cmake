# The examples, each also a test under the three models.

# Boost.Beast's parser is a header; http_server uses it.
find_package(Boost REQUIRED)

# Services would serve for ever.
set(treadle_example_arguments_http_server --seconds 1)
set(treadle_example_arguments_proxy --upstream 127.0.0.1:9 --seconds 1)

file(GLOB treadle_examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(source IN LISTS treadle_examples)
  cmake_path(GET source STEM stem)
  add_executable(example_${stem} ${source})
  set_target_properties(example_${stem} PROPERTIES
    OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  target_link_libraries(example_${stem} PRIVATE treadle_options treadle_static)
  if(stem STREQUAL "http_server")
    target_link_libraries(example_${stem} PRIVATE Boost::headers)
  endif()
  foreach(model IN ITEMS m:1 1:1 m:n)
    set(name examples/${stem}/${model})
    add_test(NAME ${name} COMMAND example_${stem} ${treadle_example_arguments_${stem}})
    set_tests_properties(${name} PROPERTIES
      TIMEOUT 300 LABELS example ENVIRONMENT TREADLE_MODEL=${model})
  endforeach()
endforeach()

# Plain pthread programs, for `treadle run`: tests/shim/examples_test.py.
file(GLOB treadle_pthread_examples CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/examples/pthreads/*.cpp)
foreach(source IN LISTS treadle_pthread_examples)
  cmake_path(GET source STEM stem)
  add_executable(example_pthreads_${stem} ${source})
  set_target_properties(example_pthreads_${stem} PROPERTIES
    OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples/pthreads)
  target_link_libraries(example_pthreads_${stem} PRIVATE treadle_options Threads::Threads)
endforeach()
