// A bounded fuzz of examples/http_server: requests that are changed, cut, pipelined and oversized,
// at its parser and over connections. `http_fuzz_test [CASES [SEED]]` runs more.
//
// What a request gives must not depend on how it is cut into pieces; every answer must be whole and
// of a status that fits; a connection must end, and leave nothing. A failure names the seed.
#include <gtest/gtest.h>

#include <dirent.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <treadle/treadle.hpp>
#include <vector>

#include "examples/http_server/connection.hpp"

namespace {

#if defined(TREADLE_SANITIZED)
unsigned cases = 200;
#else
unsigned cases = 2'000;  // guess: some seconds for all
#endif
unsigned first_seed = 1;

const std::string host = "Host: test\r\n";

std::string get(const std::string& path, const std::string& fields = {}) {
  return "GET " + path + " HTTP/1.1\r\n" + host + fields + "\r\n";
}

// Requests and what the last answer must be; after those that are wrong the server ends.
struct known {
  std::string text;
  unsigned status;
  bool ends;
};

const std::vector<known>& catalogue() {
  static const std::vector<known> all{
      {get("/"), 200, false},
      {get("/missing"), 404, false},
      {get("http://test/"), 200, false},
      {get("/sleep?ms=0"), 200, false},
      {get("/sleep?ms=x"), 400, false},
      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nabcde", 405, false},
      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
       405, false},
      {"BREW / HTTP/1.1\r\n" + host + "\r\n", 501, false},
      {get("/", "Connection: close\r\n"), 200, true},
      {"GET / HTTP/1.0\r\n\r\n", 200, true},
      {"nonsense\r\n\r\n", 400, true},
      {"GET / HTTP/1.1\r\n\r\n", 400, true},
      {get("/", host), 400, true},
      {get("/", "bad field\r\n"), 400, true},
      {get("/", "Content-Length: 5x\r\n"), 400, true},
      {get("/", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400, true},
      {get("/", "Transfer-Encoding: gzip\r\n"), 501, true},
      {get("/", "Content-Length: 9999999\r\n"), 413, true},
      {get("/", "Content-Length: 500\r\nExpect: 100-continue\r\n"), 417, true},
      {get("/", "X: " + std::string(9'000, 'a') + "\r\n"), 431, true},
      {"GET /" + std::string(9'500, 'a'), 431, true},
      {"GET / HTTP/3.7\r\n" + host + "\r\n", 505, true},
  };
  return all;
}

constexpr std::array<unsigned, 10> statuses{200, 400, 404, 405, 408, 413, 417, 431, 501, 505};

std::string change(std::string text, std::mt19937& random) {
  const auto below = [&](std::size_t count) { return random() % std::max<std::size_t>(count, 1); };
  for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
    const std::size_t place = below(text.size());
    switch (random() % 6) {
      case 0:
        if (!text.empty()) text[place] = static_cast<char>(random());
        break;
      case 1:
        text.erase(place, 1 + below(20));
        break;
      case 2:
        for (unsigned i = random() % 20; i > 0; --i) {
          text.insert(place, 1, static_cast<char>(random()));
        }
        break;
      case 3:
        text.insert(place, text.substr(0, below(text.size())));
        break;
      case 4:
        text.insert(place, "\r\n");
        break;
      default:
        text.resize(place);
    }
  }
  return text;
}

std::string draw(std::mt19937& random) {
  std::string text;
  for (unsigned count = 1 + random() % 6; count > 0; --count) {
    text += catalogue()[random() % catalogue().size()].text;
  }
  return text;
}

// ---- the parser ----

struct parsed {
  unsigned status = 0;  // 0: not whole
  std::string target;
  bool operator==(const parsed&) const = default;
};

// As a connection does it, with pieces of at most `piece` bytes.
parsed parse(const std::string& text, std::size_t piece) {
  parsed result;
  http::request_parser parser(result.target);
  std::size_t begin = 0;
  for (std::size_t filled = 0; filled < text.size();) {
    filled = std::min(text.size(), filled + piece);
    http::beast::error_code error;
    const std::size_t used = parser.put({text.data() + begin, filled - begin}, error);
    EXPECT_LE(used, filled - begin);
    begin += used;
    if (error && error != http::beast::http::error::need_more) {
      result.status = http::status_of(error);
      return result;
    }
    if (parser.is_header_done() && !parser.names_host()) result.status = 400;
    if (parser.is_header_done() && parser.is_coded_strangely()) result.status = 501;
    if (result.status != 0) return result;
    if (!parser.is_done()) continue;
    result.status = 200;
    return result;
  }
  return result;
}

TEST(HttpFuzz, ParserDoesNotMindHowARequestIsCut) {
  for (unsigned seed = first_seed; seed < first_seed + 10 * cases; ++seed) {
    std::mt19937 random(seed);
    const std::string text = change(draw(random), random);
    const parsed whole = parse(text, text.size());
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1} + random() % 700}) {
      const parsed cut = parse(text, piece);
      // When and why it is refused may differ: one may be wrong twice, or be seen to be so early.
      ASSERT_EQ(cut.status == 200, whole.status == 200)
          << cut.status << " and " << whole.status << ", seed " << seed << ", pieces of " << piece;
      if (whole.status == 200) {
        ASSERT_EQ(cut.target, whole.target) << "seed " << seed;
      }
    }
  }
}

TEST(HttpFuzz, PathsStayBelowTheRoot) {
  for (unsigned seed = first_seed; seed < first_seed + 10 * cases; ++seed) {
    std::mt19937 random(seed);
    constexpr std::array<const char*, 8> parts{"/", "..", "%2e", "%2E", "%2f", "a", "%00", "."};
    std::string target = "/";
    for (unsigned i = random() % 12; i > 0; --i) target += parts[random() % parts.size()];
    const std::optional<std::string> path = http::decode_path(target);
    if (!path) continue;
    EXPECT_FALSE(path->empty() || path->front() == '/') << target;
    EXPECT_EQ(("/" + *path + "/").find("/../"), std::string::npos) << target;
    EXPECT_EQ(path->find('\0'), std::string::npos) << target;
  }
}

// ---- connections ----

// The statuses of whole answers. What is left over is none: `rest`.
struct answers {
  std::vector<unsigned> all;
  std::string rest;
};

answers take_apart(std::string_view text) {
  answers found;
  constexpr std::string_view length = "Content-Length: ";
  for (;;) {
    const std::size_t end = text.find("\r\n\r\n");
    const std::size_t at = text.find(length);
    if (text.substr(0, 9) != "HTTP/1.1 " || end == text.npos || at > end) break;
    const auto body = static_cast<std::size_t>(std::atol(text.data() + at + length.size()));
    if (text.size() < end + 4 + body) break;
    found.all.push_back(static_cast<unsigned>(std::atol(text.data() + 9)));
    text.remove_prefix(end + 4 + body);
  }
  found.rest = text;
  return found;
}

std::size_t open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

class server {
 public:
  explicit server(std::size_t guests) : door_(treadle::io::listener::open("127.0.0.1", 0)) {
    home_.stop = stop_.get_token();
    home_.lends_stacks = treadle::runtime::current().model() != treadle::model::one_to_one;
    serving_ = treadle::thread([this, guests] { accept(guests); });
    watching_ = treadle::thread([this] { home_.guests.watch(home_.stop); });
  }
  // All guests have come.
  ~server() {
    serving_.join();
    stop_.request_stop();
    watching_.join();
  }
  std::uint16_t port() const { return door_.port(); }

 private:
  void accept(std::size_t guests) {
    std::vector<treadle::thread> all;
    for (; guests > 0; --guests) {
      all.emplace_back([this, guest = door_.accept()]() mutable {
        http::connection(home_, std::move(guest)).run();
      });
    }
    for (treadle::thread& one : all) one.join();
  }

  std::stop_source stop_;
  http::server home_;
  treadle::io::listener door_;
  treadle::thread serving_;
  treadle::thread watching_;
};

// Sends it in pieces, and gives back all that comes until the server ends it.
std::string exchange(std::uint16_t port, const std::string& text, std::mt19937& random) {
  treadle::io::socket peer = treadle::io::socket::connect("127.0.0.1", port);
  std::string got;
  // Somebody must read meanwhile, or many answers fill the buffers.
  treadle::thread reader([&] {
    std::array<std::byte, 4096> buffer;
    try {
      while (const std::size_t count = peer.read(buffer)) {
        got.append(reinterpret_cast<const char*>(buffer.data()), count);
      }
    } catch (const std::system_error&) {
      // A reset is an end, too.
    }
  });
  try {
    const std::size_t piece = random() % 4 == 0 ? 1 + random() % 40 : 1 + random() % 5'000;
    for (std::size_t done = 0; done < text.size(); done += piece) {
      peer.write_all(std::string_view(text).substr(done, piece));
    }
    peer.shutdown_writing();
  } catch (const std::system_error&) {
    // The server has had enough.
  }
  reader.join();
  return got;
}

void expect_sensible(const std::string& got, unsigned seed) {
  const answers found = take_apart(got);
  EXPECT_EQ(found.rest, "") << "seed " << seed;
  for (const unsigned one : found.all) {
    EXPECT_TRUE(std::find(statuses.begin(), statuses.end(), one) != statuses.end())
        << "status " << one << ", seed " << seed;
  }
}

// Good requests before a known one: all are answered in order.
void expect_known(std::uint16_t port, std::mt19937& random, unsigned seed) {
  const known& last = catalogue()[random() % catalogue().size()];
  std::string text;
  const std::size_t before = random() % 20;
  for (std::size_t i = 0; i < before; ++i) text += get("/");
  text += last.text;
  // What follows an end is not looked at.
  if (last.ends && random() % 2 == 0) text += get("/");
  const answers found = take_apart(exchange(port, text, random));
  EXPECT_EQ(found.rest, "") << "seed " << seed;
  ASSERT_EQ(found.all.size(), before + 1) << "seed " << seed << ": " << last.text.substr(0, 60);
  EXPECT_EQ(std::count(found.all.begin(), found.all.end() - 1, 200U),
            static_cast<std::ptrdiff_t>(before))
      << "seed " << seed;
  EXPECT_EQ(found.all.back(), last.status) << "seed " << seed << ": " << last.text.substr(0, 60);
}

void leave_rudely(std::uint16_t port, const std::string& text) {
  const treadle::io::socket peer = treadle::io::socket::connect("127.0.0.1", port);
  static_cast<void>(::send(peer.descriptor(), text.data(), text.size(), MSG_NOSIGNAL));
  const linger at_once{1, 0};
  ::setsockopt(peer.descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void visit(std::uint16_t port, unsigned seed) {
  std::mt19937 random(seed);
  switch (seed % 4) {
    case 0:
      return expect_known(port, random, seed);
    case 1:
      return leave_rudely(port, change(draw(random), random));
    default:
      return expect_sensible(exchange(port, change(draw(random), random), random), seed);
  }
}

class HttpFuzzConnections : public ::testing::TestWithParam<treadle::model> {};

TEST_P(HttpFuzzConnections, EndAndLeaveNothing) {
  treadle::runtime_options wanted;
  wanted.model = GetParam();
  if (GetParam() == treadle::model::many_to_many) wanted.width = 2;
  const auto all_cases = [&](unsigned count) {
    treadle::runtime runtime(wanted);
    runtime.run([count] {
      server home(count);
      std::vector<treadle::thread> visitors;
      constexpr unsigned at_once = 8;
      for (unsigned v = 0; v < at_once; ++v) {
        visitors.emplace_back([&home, v, count] {
          for (unsigned i = v; i < count; i += at_once) visit(home.port(), first_seed + i);
        });
      }
      for (treadle::thread& one : visitors) one.join();
    });
  };
  all_cases(40);
  const std::size_t before = open_descriptors();
  all_cases(cases);
  EXPECT_LE(open_descriptors(), before + 16);  // guess: what a runtime may keep for the next
}

INSTANTIATE_TEST_SUITE_P(Models, HttpFuzzConnections,
                         ::testing::Values(treadle::model::many_to_one, treadle::model::one_to_one,
                                           treadle::model::many_to_many));

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) cases = static_cast<unsigned>(std::atoi(argv[1]));
  if (argc > 2) first_seed = static_cast<unsigned>(std::atoi(argv[2]));
  return RUN_ALL_TESTS();
}
