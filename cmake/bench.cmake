# bench-shim: what bench/shim/shim.py runs natively and under `treadle run`. Plain pthreads.
if(TREADLE_HAS_SHIM)
  find_package(Threads REQUIRED)
  add_executable(bench-shim ${PROJECT_SOURCE_DIR}/bench/shim/workloads.cpp)
  set_target_properties(bench-shim PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  target_link_libraries(bench-shim PRIVATE treadle_options Threads::Threads)
endif()

# treadle-bench: every workload beside its peers, in one program, so that all of them run on the
# same machine in the same minute.

# Asked for by TREADLE_BENCH; with the tests alone it is built where the peers are installed, for
# its own test.
set(treadle_bench_wanted)
if(TREADLE_BENCH)
  set(treadle_bench_wanted REQUIRED)
endif()
find_package(Boost QUIET ${treadle_bench_wanted} COMPONENTS context fiber)
if(NOT Boost_FOUND)
  return()
endif()
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)

file(GLOB_RECURSE treadle_bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.cpp)
list(FILTER treadle_bench_sources EXCLUDE REGEX "_test\\.cpp$|/bench/(servers|shim|peers)/")
if(treadle_bench_sources)
  add_executable(treadle-bench ${treadle_bench_sources})
  target_include_directories(treadle-bench PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(treadle-bench PRIVATE TREADLE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(treadle-bench PRIVATE treadle_options treadle_static
    Boost::context Boost::fiber CLI11::CLI11 nlohmann_json::nlohmann_json fmt::fmt)
endif()

# What bench/servers/servers.py compares.
find_package(Threads REQUIRED)
add_executable(bench-http-server ${PROJECT_SOURCE_DIR}/examples/http_server.cpp)
target_include_directories(bench-http-server PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(bench-http-server PRIVATE treadle_options treadle_static Boost::headers)
add_executable(bench-asio-hello ${PROJECT_SOURCE_DIR}/bench/servers/asio_hello.cpp)
target_link_libraries(bench-asio-hello PRIVATE treadle_options Boost::headers Threads::Threads)

include(cmake/bench_peers.cmake)
