# The soak: one program that mixes everything; its test is a glance of some seconds in each model.
# Minutes of it are for people: ./do soak.

file(GLOB treadle_soak_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/soak/*.cpp)
add_executable(treadle_soak ${treadle_soak_sources})
set_target_properties(treadle_soak PROPERTIES
  OUTPUT_NAME soak RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
target_include_directories(treadle_soak PRIVATE ${PROJECT_SOURCE_DIR})
# The lab's pages that take their time to come in.
target_link_libraries(treadle_soak PRIVATE treadle_options treadle_tool)
add_dependencies(tests_whole treadle_soak)

foreach(model IN ITEMS m:1 1:1 m:n)
  add_test(NAME tests/soak/${model} COMMAND treadle_soak --seconds 3 --model ${model})
  set_tests_properties(tests/soak/${model} PROPERTIES
    TIMEOUT ${treadle_test_timeout} LABELS whole)
endforeach()
