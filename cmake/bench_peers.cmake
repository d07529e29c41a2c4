# What bench/peers/peers.py compares: a program a peer, each linked with its own library alone. A
# peer whose library is missing is left out here and named there. Included by bench.cmake.
set(treadle_peers ${PROJECT_SOURCE_DIR}/bench/peers/cpp)

# What all of them share, once.
add_library(bench-peer-common STATIC EXCLUDE_FROM_ALL
  ${treadle_peers}/program.cpp ${PROJECT_SOURCE_DIR}/bench/measure.cpp)
target_link_libraries(bench-peer-common PRIVATE treadle_options)
# What --version says beside the library's own.
string(TOUPPER "${CMAKE_BUILD_TYPE}" treadle_config)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${treadle_config}}" treadle_flags)
set(treadle_compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${treadle_flags}")
set_source_files_properties(${treadle_peers}/program.cpp PROPERTIES COMPILE_DEFINITIONS
  "TREADLE_BENCH_COMPILER=\"${treadle_compiler}\"")
add_custom_target(bench-peers)

# treadle_bench_peer(NAME SOURCES... LINK LIBRARIES...)
function(treadle_bench_peer name)
  cmake_parse_arguments(PARSE_ARGV 1 peer "" "" "LINK")
  list(TRANSFORM peer_UNPARSED_ARGUMENTS PREPEND ${PROJECT_SOURCE_DIR}/bench/)
  add_executable(bench-peer-${name} ${peer_UNPARSED_ARGUMENTS})
  target_include_directories(bench-peer-${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(bench-peer-${name} PRIVATE TREADLE_VERSION="${PROJECT_VERSION}")
  target_link_libraries(bench-peer-${name} PRIVATE
    bench-peer-common treadle_options ${peer_LINK} Threads::Threads)
  add_dependencies(bench-peers bench-peer-${name})
endfunction()

# Peers are linked statically where there is an archive, as Treadle is: as a shared library
# Boost.Fiber takes up to 1.7 times as long for a switch (yield; g++ 12, Boost 1.74).
function(treadle_bench_archive result name otherwise)
  find_library(TREADLE_ARCHIVE_${name} lib${name}.a)
  mark_as_advanced(TREADLE_ARCHIVE_${name})
  if(TREADLE_ARCHIVE_${name})
    set(otherwise ${TREADLE_ARCHIVE_${name}})
  endif()
  set(${result} ${otherwise} PARENT_SCOPE)
endfunction()
treadle_bench_archive(treadle_boost_context boost_context Boost::context)
treadle_bench_archive(treadle_boost_fiber boost_fiber Boost::fiber)

treadle_bench_peer(treadle peers/cpp/treadle_threads.cpp peer_raw.cpp
  LINK treadle_static Boost::context)
treadle_bench_peer(treadle-tasks peers/cpp/treadle_tasks.cpp LINK treadle_static Boost::headers)
treadle_bench_peer(nptl peers/cpp/nptl.cpp LINK Boost::headers)
treadle_bench_peer(boost.context peers/cpp/boost_context.cpp peer_raw.cpp
  LINK treadle_static ${treadle_boost_context} Boost::headers)
treadle_bench_peer(boost.fiber peers/cpp/boost_fiber.cpp
  LINK ${treadle_boost_fiber} ${treadle_boost_context} Boost::headers)

# Boost 1.74 knows the standard's coroutines of g++ only.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  treadle_bench_peer(asio peers/cpp/asio.cpp LINK Boost::headers)
endif()
treadle_bench_peer(asio-callbacks peers/cpp/asio_callbacks.cpp LINK Boost::headers)
treadle_bench_peer(load peers/cpp/load.cpp)

find_package(TBB QUIET)
if(TBB_FOUND)
  treadle_bench_peer(onetbb peers/cpp/onetbb.cpp LINK TBB::tbb)
endif()

find_path(TREADLE_ST_INCLUDE st.h)
find_library(TREADLE_ST_LIBRARY st)
mark_as_advanced(TREADLE_ST_INCLUDE TREADLE_ST_LIBRARY)
if(TREADLE_ST_INCLUDE AND TREADLE_ST_LIBRARY)
  treadle_bench_archive(treadle_state_threads st ${TREADLE_ST_LIBRARY})
  treadle_bench_peer(state-threads peers/cpp/state_threads.cpp LINK ${treadle_state_threads}
    Boost::headers)
  # Its assembly does not say that it needs no executable stack.
  target_link_options(bench-peer-state-threads PRIVATE -Wl,-z,noexecstack)
endif()
