# The examples, each also a test under the three models.

file(GLOB treadle_examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(source IN LISTS treadle_examples)
  cmake_path(GET source STEM stem)
  add_executable(example_${stem} ${source})
  set_target_properties(example_${stem} PROPERTIES
    OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  target_link_libraries(example_${stem} PRIVATE treadle_options treadle_static)
  foreach(model IN ITEMS m:1 1:1 m:n)
    set(name examples/${stem}/${model})
    add_test(NAME ${name} COMMAND example_${stem})
    set_tests_properties(${name} PROPERTIES
      TIMEOUT 300 LABELS example ENVIRONMENT TREADLE_MODEL=${model})
  endforeach()
endforeach()
