# What every target of the tree is compiled with.
#
# treadle_options is for our own code only: its warnings are never forced on a user of the library.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
if(PROJECT_IS_TOP_LEVEL)
  # -Og rather than -O0: the tests start 100,000 threads, and the checks stay readable in gdb.
  set(CMAKE_CXX_FLAGS_DEBUG "-Og -g")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(treadle_options INTERFACE)
target_compile_features(treadle_options INTERFACE cxx_std_20)
target_compile_options(treadle_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow>
  # A frame larger than the guard page must touch every page on its way down.
  $<$<COMPILE_LANGUAGE:CXX>:-fstack-clash-protection>)
if(TREADLE_WERROR)
  target_compile_options(treadle_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # clang 14 warns when the flag above reaches a link line or a file without frames.
  target_compile_options(treadle_options INTERFACE -Wno-unused-command-line-argument)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False in g++ 12 for std::string (its PR 105651); and, without the full optimiser, for values
  # that are always set (std::stop_token's too).
  target_compile_options(treadle_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict;-Wno-stringop-overflow>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<NOT:$<CONFIG:Release>>>:-Wno-maybe-uninitialized>)
endif()

# Header code depends on these, so that they must be the same in the library and in its users:
# they travel with the library target in the build tree.
add_library(treadle_instrumentation INTERFACE)
if(TREADLE_ASSERTIONS)
  target_compile_definitions(treadle_instrumentation INTERFACE TREADLE_ASSERTIONS=1)
endif()
if(TREADLE_COVERAGE)
  target_compile_options(treadle_instrumentation INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(treadle_instrumentation INTERFACE --coverage)
endif()
if(TREADLE_SANITIZE)
  set(treadle_sanitizers address,undefined thread)
  if(NOT TREADLE_SANITIZE IN_LIST treadle_sanitizers)
    message(FATAL_ERROR
      "TREADLE_SANITIZE is '${TREADLE_SANITIZE}'; allowed: empty, 'address,undefined', 'thread'")
  endif()
  target_compile_options(treadle_instrumentation INTERFACE
    -fsanitize=${TREADLE_SANITIZE} -fno-omit-frame-pointer)
  # The check of an object's type asks by a pipe whether memory can be read, and says no where
  # descriptors are short, as some tests make them.
  if(TREADLE_SANITIZE MATCHES "undefined")
    target_compile_options(treadle_instrumentation INTERFACE -fno-sanitize=vptr)
  endif()
  target_link_options(treadle_instrumentation INTERFACE -fsanitize=${TREADLE_SANITIZE})
  target_compile_definitions(treadle_instrumentation INTERFACE TREADLE_SANITIZED=1)
  if(TREADLE_SANITIZE STREQUAL "thread")
    target_compile_definitions(treadle_instrumentation INTERFACE TREADLE_TSAN=1)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # g++ warns at every fence that TSan does not model it.
      target_compile_options(treadle_instrumentation INTERFACE
        $<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
    endif()
  else()
    target_compile_definitions(treadle_instrumentation INTERFACE TREADLE_ASAN=1)
    # UBSan only prints by default; a test must fail.
    target_compile_options(treadle_instrumentation INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
