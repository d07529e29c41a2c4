# Tests: one GoogleTest program per *_test.cpp, one ctest entry per program.
#
# A ctest name is the path of the source without its suffix (treadle/base/clock_test); `ctest -R`
# takes any part of it. The label says which group a test belongs to: core, conformance, tool, ...

find_package(GTest REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# Instrumented programs are several times slower, and the machine may be busy: generous on purpose.
set(treadle_test_timeout 300)
if(TREADLE_SANITIZE)
  set(treadle_test_timeout 900)
endif()
# Before that its stacks are printed (tests/support/watched.py); and of what passes, nothing.
math(EXPR treadle_test_watch "${treadle_test_timeout} - 80")
set(treadle_watched ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/support/watched.py
  ${treadle_test_watch})

set(TREADLE_TEST_PROGRAMS_DIR ${PROJECT_BINARY_DIR}/tests/programs)
set(treadle_test_definitions
  TREADLE_TEST_PROGRAMS_DIR="${TREADLE_TEST_PROGRAMS_DIR}"
  TREADLE_COMMAND="${PROJECT_BINARY_DIR}/bin/treadle"
  TREADLE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
  TREADLE_VERSION="${PROJECT_VERSION}")

# Programs that tests start: crashes, exit codes and limits need a process of their own.
file(GLOB treadle_programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/programs/*.cpp)
add_custom_target(treadle_test_programs)
foreach(source IN LISTS treadle_programs)
  cmake_path(GET source STEM stem)
  add_executable(program_${stem} ${source})
  set_target_properties(program_${stem} PROPERTIES
    OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY ${TREADLE_TEST_PROGRAMS_DIR})
  target_link_libraries(program_${stem} PRIVATE treadle_options treadle_static)
  add_dependencies(treadle_test_programs program_${stem})
endforeach()

# GoogleTest's header takes longer to compile than most tests: it is compiled once, here.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tests/nothing.cpp CONTENT "")
add_library(treadle_test_header OBJECT ${PROJECT_BINARY_DIR}/tests/nothing.cpp)
target_compile_definitions(treadle_test_header PUBLIC ${treadle_test_definitions})
target_link_libraries(treadle_test_header PUBLIC treadle_options treadle_static GTest::gtest_main)
target_precompile_headers(treadle_test_header PRIVATE <gtest/gtest.h>)

# Groups, so that a sanitizer run need not compile what it does not run.
foreach(label IN ITEMS core conformance whole tool)
  add_custom_target(tests_${label})
endforeach()

file(GLOB_RECURSE treadle_tests CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/treadle/*_test.cpp ${PROJECT_SOURCE_DIR}/tests/*_test.cpp)
foreach(source IN LISTS treadle_tests)
  cmake_path(REMOVE_EXTENSION source OUTPUT_VARIABLE name)
  string(REGEX REPLACE "^(treadle|tests)/" "" target ${name})
  string(REPLACE "/" "_" target ${target})
  if(TARGET ${target})
    string(REPLACE "/" "_" target ${name})
  endif()
  if(source MATCHES "^treadle/(lab|cli)/")
    set(label tool)
    set(library treadle_tool)
    if(NOT TREADLE_BUILD_COMMAND)
      continue()
    endif()
  elseif(source MATCHES "^tests/conformance/")
    set(label conformance)
    set(library treadle_static)
  elseif(source MATCHES "^tests/")
    set(label whole)
    set(library treadle_static)
  else()
    set(label core)
    set(library treadle_static)
  endif()

  add_executable(${target} ${source})
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
  target_compile_definitions(${target} PRIVATE ${treadle_test_definitions})
  target_link_libraries(${target} PRIVATE treadle_options ${library} GTest::gtest_main)
  if(target MATCHES "^http_")
    target_link_libraries(${target} PRIVATE Boost::headers)
  endif()
  target_precompile_headers(${target} REUSE_FROM treadle_test_header)
  add_dependencies(tests_${label} ${target})
  add_dependencies(${target} treadle_test_programs)
  if(TARGET treadle_command AND label MATCHES "tool|whole")
    add_dependencies(${target} treadle_command)
  endif()
  add_test(NAME ${name} COMMAND ${treadle_watched} $<TARGET_FILE:${target}>)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${treadle_test_timeout} LABELS ${label}
    ENVIRONMENT "GTEST_BRIEF=1")
endforeach()

# What waits for descriptors runs once more through io_uring, and through io_uring that receives
# before it is asked. Where the kernel refuses it, each test is skipped and says why. 1:1 has none.
set(treadle_uring_tests io sockets io_own_stop stop names_and_children own_stop_token)
foreach(name IN LISTS treadle_uring_tests)
  foreach(way IN ITEMS plain ahead)
    if(way STREQUAL ahead AND NOT name MATCHES "^(io|sockets)$")
      continue()
    endif()
    add_test(NAME tests/conformance/${name}_test/uring/${way}
      COMMAND ${treadle_watched} $<TARGET_FILE:conformance_${name}_test>
        --gtest_filter=-*one_to_one*)
    set_tests_properties(tests/conformance/${name}_test/uring/${way} PROPERTIES
      TIMEOUT ${treadle_test_timeout} LABELS conformance
      ENVIRONMENT "GTEST_BRIEF=1;TREADLE_IO=sockets=uring;TREADLE_TEST_RECEIVE=${way}")
  endforeach()
endforeach()

# And through epoll with sockets from which small reads take more than they were asked for.
foreach(name IN ITEMS io sockets)
  add_test(NAME tests/conformance/${name}_test/epoll/ahead
    COMMAND ${treadle_watched} $<TARGET_FILE:conformance_${name}_test>)
  set_tests_properties(tests/conformance/${name}_test/epoll/ahead PROPERTIES
    TIMEOUT ${treadle_test_timeout} LABELS conformance
    ENVIRONMENT "GTEST_BRIEF=1;TREADLE_TEST_RECEIVE=ahead")
endforeach()

# Where the kernel refuses membarrier, readers have fences of their own.
foreach(name IN ITEMS rcu hazard_pointer)
  add_test(NAME tests/conformance/${name}_test/own_fences
    COMMAND ${treadle_watched} $<TARGET_FILE:conformance_${name}_test>)
  set_tests_properties(tests/conformance/${name}_test/own_fences PROPERTIES
    TIMEOUT ${treadle_test_timeout} LABELS conformance
    ENVIRONMENT "GTEST_BRIEF=1;TREADLE_FAULT=membarrier:1+")
endforeach()

# Every public header compiles by itself: a user includes them in any order.
file(GLOB treadle_public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/treadle/*.hpp)
set(treadle_header_checks)
foreach(header IN LISTS treadle_public_headers)
  cmake_path(GET header STEM stem)
  set(check ${PROJECT_BINARY_DIR}/tests/headers/${stem}.cpp)
  file(CONFIGURE OUTPUT ${check} CONTENT "#include <${header}>\n")
  list(APPEND treadle_header_checks ${check})
endforeach()
if(treadle_header_checks)
  add_library(treadle_headers OBJECT ${treadle_header_checks})
  target_link_libraries(treadle_headers PRIVATE treadle_options treadle_static)
endif()

include(cmake/shim_tests.cmake)

# Tests that are scripts: exit status 77 means that the machine lacks what they need.
set(treadle_script_environment
  TREADLE_SOURCE_DIR=${PROJECT_SOURCE_DIR}
  TREADLE_BUILD_DIR=${PROJECT_BINARY_DIR}
  TREADLE_CXX=${CMAKE_CXX_COMPILER}
  TREADLE_PROGRAMS_DIR=${TREADLE_TEST_PROGRAMS_DIR}
  TREADLE_COMMAND=${PROJECT_BINARY_DIR}/bin/treadle
  TREADLE_SHIM_PROGRAMS_DIR=${TREADLE_SHIM_PROGRAMS_DIR}
  TREADLE_INSTRUMENTED=${TREADLE_SANITIZE}$<$<BOOL:${TREADLE_COVERAGE}>:coverage>)
file(GLOB_RECURSE treadle_scripts CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/tests/*_test.sh ${PROJECT_SOURCE_DIR}/tests/*_test.py
  ${PROJECT_SOURCE_DIR}/tools/*_test.sh ${PROJECT_SOURCE_DIR}/tools/*_test.py)
foreach(script IN LISTS treadle_scripts)
  cmake_path(REMOVE_EXTENSION script OUTPUT_VARIABLE name)
  set(interpreter bash)
  if(script MATCHES "\\.py$")
    set(interpreter ${Python3_EXECUTABLE})
  endif()
  set(label whole)
  if(script MATCHES "^tests/shim/")
    set(label shim)
  elseif(script MATCHES "^tests/peers_bench")
    set(label tool)
  endif()
  add_test(NAME ${name} COMMAND ${interpreter} ${PROJECT_SOURCE_DIR}/${script})
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${treadle_test_timeout} LABELS ${label} SKIP_RETURN_CODE 77
    ENVIRONMENT "${treadle_script_environment}")
endforeach()

# The rules of the house are tests too.
add_test(NAME style/tidy
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/tidy.py ${PROJECT_SOURCE_DIR})
add_test(NAME style/format COMMAND ${PROJECT_SOURCE_DIR}/do fmt --check)
set_tests_properties(style/tidy style/format PROPERTIES
  TIMEOUT ${treadle_test_timeout} LABELS style)
