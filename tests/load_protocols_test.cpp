// What the load that measures servers (bench/peers) takes for a whole answer, however it is cut;
// and what the servers' own sessions make of requests, however they are cut.
#include "bench/peers/cpp/load_protocols.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/peers/cpp/echo_session.hpp"

#if __has_include(<boost/beast/http/basic_parser.hpp>)
#include "bench/peers/cpp/bare_session.hpp"
#include "bench/peers/cpp/http_session.hpp"
#endif

namespace treadle::bench {
namespace {

constexpr std::string_view whole =
    "HTTP/1.1 200 OK\r\nServer: x\r\nContent-length:  13\r\n\r\nHello, World!";

/// How many bytes make it whole, given in pieces of that size.
template <class Answer>
std::size_t bytes_until_whole(std::string_view text, std::size_t piece) {
  Answer answer;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const std::string_view next = text.substr(at, piece);
    if (answer.put(next)) return at + next.size();
  }
  return 0;
}

TEST(LoadProtocols, AnAnswerIsWholeAtItsLastByteInPiecesOfAnySize) {
  for (std::size_t piece = 1; piece <= whole.size(); ++piece) {
    EXPECT_EQ(bytes_until_whole<http_protocol::answer>(whole, piece), whole.size()) << piece;
  }
  const std::string_view echo = echo_protocol::message();
  for (std::size_t piece = 1; piece <= echo.size(); ++piece) {
    EXPECT_EQ(bytes_until_whole<echo_protocol::answer>(echo, piece), echo.size()) << piece;
  }
}

TEST(LoadProtocols, AnythingElseIsAnError) {
  const auto takes = [](std::string_view text) { return http_protocol::answer().put(text); };
  EXPECT_THROW(takes(std::string(whole) + "!"), std::runtime_error);
  EXPECT_THROW(takes("HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nHello, World!"),
               std::runtime_error);
  EXPECT_THROW(takes("HTTP/1.1 200 OK\r\n\r\nHello, World!"), std::runtime_error);
  EXPECT_THROW(takes("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHello, World"),
               std::runtime_error);
  EXPECT_THROW(takes("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nHello, World!"),
               std::runtime_error);
  EXPECT_THROW(takes("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, Wurld!"),
               std::runtime_error);
  EXPECT_THROW(echo_protocol::answer().put("0123x"), std::runtime_error);
}

/// All that a session answers to a text that comes in pieces of that size.
template <class Session>
std::string answers(Session& session, std::string_view text, std::size_t piece) {
  std::string all;
  while (!text.empty() && !session.ends()) {
    const std::size_t count = std::min({piece, text.size(), session.room().size()});
    std::copy_n(text.begin(), count, session.room().begin());
    text.remove_prefix(count);
    session.take(count);
    all += session.output();
  }
  return all;
}

TEST(Sessions, AnEchoIsWhatCame) {
  echo_session session;
  const std::string text(1000, 'x');
  EXPECT_EQ(answers(session, text, 63), text);
}

#if __has_include(<boost/beast/http/basic_parser.hpp>)

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++found;
  return found;
}

TEST(Sessions, TheLoadIsContentWithTheAnswers) {
  http_session session;
  EXPECT_TRUE(http_protocol::answer().put(answers(session, http_protocol::message(), 1024)));
  EXPECT_FALSE(session.ends());
  EXPECT_TRUE(http_protocol::answer().put(bare_session::output()));
  EXPECT_EQ(session.output().size(), bare_session::output().size());
}

TEST(Sessions, RequestsThatComeInPiecesOrTogetherHaveAnAnswerEach) {
  std::string three;
  for (int i = 0; i < 3; ++i) three += http_protocol::message();
  for (std::size_t piece = 1; piece <= three.size(); ++piece) {
    http_session session;
    const std::string all = answers(session, three, piece);
    EXPECT_EQ(count(all, "HTTP/1.1 200 OK\r\n"), 3U) << piece;
    EXPECT_EQ(count(all, "\r\n\r\nHello, World!"), 3U) << piece;
    EXPECT_FALSE(session.ends());
  }
}

TEST(Sessions, WhatIsNoRequestEndsTheConnection) {
  const auto status = [](std::string_view text) {
    http_session session;
    const std::string all = answers(session, text, 1024);
    EXPECT_TRUE(session.ends()) << text;
    return all.substr(0, 12);
  };
  EXPECT_EQ(status("knitting\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(status("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400");  // no Host
  EXPECT_EQ(status("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404");
  EXPECT_EQ(status("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: " + std::string(2000, 'x')), "HTTP/1.1 431");
  EXPECT_EQ(status("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200");
}

TEST(Sessions, TheDateIsThatOfTheClock) {
  http_session session;
  const std::string all = answers(session, http_protocol::message(), 1024);
  const std::size_t at = all.find("\r\nDate: ");
  ASSERT_NE(at, all.npos);
  std::tm parts{};
  ASSERT_NE(strptime(all.c_str() + at + 8, "%a, %d %b %Y %H:%M:%S GMT", &parts), nullptr);
  const double off = std::difftime(std::time(nullptr), timegm(&parts));
  EXPECT_GE(off, 0);
  EXPECT_LT(off, 3600);  // no duration is tested, but that it is a date of now
}

TEST(Sessions, NoKernelThreadReadsAnothersDateOrHalfOfIt) {
  http_date date;
  const auto read_often = [&date](std::time_t mine) {
    char expected[64];
    std::tm parts{};
    gmtime_r(&mine, &parts);
    std::strftime(expected, sizeof expected, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
    int wrong = 0;
    for (int turn = 0; turn < 300'000; ++turn) {
      char text[http_date::bytes];
      date.copy(text, mine);
      wrong += std::string_view(text, sizeof text) != expected ? 1 : 0;
    }
    EXPECT_EQ(wrong, 0);
  };
  std::vector<std::jthread> threads;
  for (std::time_t which = 0; which < 4; ++which) {
    threads.emplace_back(read_often, 1'700'000'000 + which * 86'461);
  }
}

#endif

}  // namespace
}  // namespace treadle::bench
