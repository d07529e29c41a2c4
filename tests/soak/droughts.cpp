// droughts: no descriptor is left for some milliseconds, while guests stand at a door.
#include <sys/resource.h>

#include <vector>

#include "tests/soak/tools.hpp"

namespace soak {
namespace {

namespace io = treadle::io;

enum count { refused, accepted };

// Nobody in the process can open anything while one lives.
class drought {
 public:
  drought() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 3;
    droughts.fetch_add(1);
    SOAK_CHECK(::setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit", errno);
  }
  ~drought() {
    SOAK_CHECK(::setrlimit(RLIMIT_NOFILE, &before_) == 0, "setrlimit", errno);
    droughts.fetch_add(1);
  }
  drought(const drought&) = delete;
  drought& operator=(const drought&) = delete;

 private:
  rlimit before_{};
};

void turn(seat& mine) {
  mine.mark("guests come");
  io::listener door = io::listener::open("127.0.0.1", 0);
  std::vector<io::socket> guests;
  for (int i = 0; i < 4; ++i) guests.push_back(io::socket::connect("127.0.0.1", door.port()));
  {
    mine.mark("drought");
    const drought now;
    try {
      // A limit: where accept needs a descriptor to wait with, it says so in its own time.
      door.accept(std::chrono::seconds(1));
      violate(__FILE__, __LINE__, "accept without a descriptor", 0);
    } catch (const std::system_error& error) {
      SOAK_CHECK(is_drought(error.code().value()), error.what(), error.code().value());
      mine.count(refused);
    }
    treadle::this_thread::sleep_for(microseconds(mine.draw(2'000)));
  }
  mine.mark("guests are let in");
  for (std::size_t i = 0; i < guests.size(); ++i) {
    io::socket host = door.accept();
    host.write_all("in");
    mine.count(accepted);
  }
  for (io::socket& guest : guests) {
    std::array<std::byte, 2> word;
    SOAK_CHECK(guest.read(word) != 0, "a guest was not let in", 0);
  }
  mine.mark("rain");
  // Guess: the others shall get something done, too.
  treadle::this_thread::sleep_for(std::chrono::milliseconds(100));
}

}  // namespace

const part droughts_at_accept{"droughts", needs::nothing, 1, {"refused", "accepted"}, turn};

}  // namespace soak
