# Programs for the shim's tests: plain pthread programs that know nothing of Treadle.

set(TREADLE_SHIM_PROGRAMS_DIR ${PROJECT_BINARY_DIR}/tests/shim)
add_custom_target(tests_shim)
if(TREADLE_HAS_SHIM AND TARGET treadle_command)
  file(GLOB treadle_shim_programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/shim/programs/*.cpp)
  foreach(source IN LISTS treadle_shim_programs)
    cmake_path(GET source STEM stem)
    add_executable(shim_program_${stem} ${source})
    set_target_properties(shim_program_${stem} PROPERTIES
      OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY ${TREADLE_SHIM_PROGRAMS_DIR})
    target_include_directories(shim_program_${stem} PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(shim_program_${stem} PRIVATE treadle_options Threads::Threads)
    add_dependencies(tests_shim shim_program_${stem})
  endforeach()
  add_dependencies(tests_shim treadle_command treadle_shim)
  # Whatever builds the tests' programs builds these, too.
  add_dependencies(treadle_test_programs tests_shim)
endif()
