// Says what the default runtime is like: `settings [MODEL WIDTH STACK]` sets options first ("-"
// leaves one unset). Exit code 2 and the text on stderr for what is refused.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <treadle/io.hpp>
#include <treadle/runtime.hpp>
#include <treadle/thread.hpp>

int main(int argc, char** argv) {
  try {
    if (argc == 4) {
      treadle::runtime_options options;
      if (std::string_view(argv[1]) != "-") options.model = treadle::parse_model(argv[1]);
      if (std::string_view(argv[2]) != "-") options.width = std::stoul(argv[2]);
      if (std::string_view(argv[3]) != "-") options.stack_bytes = std::stoul(argv[3]);
      treadle::runtime::set_default_options(options);
    }
    treadle::thread first([] {});
    first.join();
    treadle::runtime& rt = treadle::runtime::current();
    const std::string model(treadle::to_string(rt.model()));
    std::printf("model=%s width=%u stack=%zu guard=%zu calls=%u\n", model.c_str(), rt.width(),
                rt.stack_bytes(), rt.guard_bytes(), treadle::io::blocking_counters().threads_max);
    try {
      treadle::runtime::set_default_options({});
      std::puts("options were taken after the start");
    } catch (const std::logic_error&) {
      std::puts("too late");
    }
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return 0;
}
