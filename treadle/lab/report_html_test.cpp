// The page: nothing in a text can break out of it, and nothing in it asks for anything.
#include "treadle/lab/report_html.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace treadle::lab {
namespace {

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

lab_result hostile_result() {
  lab_result result;
  const experiment* const any = experiments().front();
  row made = judge({"m:1", "<b>bold</b> & \"quoted\"", "ns", std::string(any->plots.front().key),
                    "</script><script>alert(1)</script>"},
                   about(1, 2, "<i>basis</i>"), sample::once(100));
  result.experiments.push_back({any, {made}});
  return result;
}

TEST(report_html, escapes_what_html_would_read) {
  EXPECT_EQ(escaped("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
}

TEST(report_html, sets_symbols_but_no_other_words) {
  EXPECT_EQ(typeset("c_u << c_k"), "c<sub>u</sub> &#8810; c<sub>k</sub>");
  EXPECT_EQ(typeset("<= 12 us"), "&le; 12 &micro;s");
  EXPECT_EQ(typeset("tell us 12 users"), "tell us 12 users");
  EXPECT_EQ(typeset("<c_u>"), "&lt;c<sub>u</sub>&gt;");
}

TEST(report_html, texts_and_labels_stay_texts) {
  const std::string page = html_report(hostile_result(), machine_facts{});
  EXPECT_EQ(page.find("<b>bold"), page.npos);
  EXPECT_EQ(page.find("<script>alert"), page.npos);
  // Its own: the data, Chart.js, the page's script.
  EXPECT_EQ(count_of(page, "<script"), 3u);
  EXPECT_EQ(count_of(page, "</script"), 3u);
}

TEST(report_html, labels_that_are_no_text_are_replaced) {
  const std::string tail = page_tail(nlohmann::json::array({{{"id", "a\xff<"}}}));
  EXPECT_NE(tail.find("a\\ufffd\\u003c"), tail.npos);
}

TEST(report_html, asks_for_nothing_from_outside) {
  const std::string page = html_report(hostile_result(), machine_facts{});
  EXPECT_EQ(page.find(" src="), page.npos);
  EXPECT_EQ(page.find("<link"), page.npos);
  EXPECT_EQ(page.find("url("), page.npos);
  EXPECT_EQ(page.find("@import"), page.npos);
  EXPECT_NE(page.find("default-src 'none'"), page.npos);
  EXPECT_NE(page.find("name=\"viewport\""), page.npos);
}

TEST(report_html, carries_the_plotting_library_with_its_licence) {
  const std::string page = html_report(hostile_result(), machine_facts{});
  EXPECT_NE(page.find("Chart.js v"), page.npos);
  EXPECT_NE(page.find("MIT License"), page.npos);
  EXPECT_NE(page.find("<canvas id=\"plot-"), page.npos);
}

}  // namespace
}  // namespace treadle::lab
