// Work done in a fresh process of this same command: `treadle lab-child REQUEST`.
//
// Every experiment runs in such a child, once per model, and so do measurements that must start
// with clean memory. A child that crashes, hangs or exhausts the machine loses its own rows only:
// the parent reads what it wrote so far, ends it at the deadline and says what became of it.
//
// Protocol: the request is one JSON argument; the child writes one JSON object a line to file
// descriptor 3 and exits with 0. Its standard error is kept (the end of it) for the report.
// A child dies with its parent (PR_SET_PDEATHSIG). Call from one kernel thread at a time.
// Rejected: fork without exec, which would copy a process that may hold runtimes and their locks.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace treadle::lab {

// The hidden word of the command line.
inline constexpr std::string_view child_word = "lab-child";

// Descriptor on which a child writes its records.
inline constexpr int record_descriptor = 3;

using on_record = std::function<void(const nlohmann::json&)>;

// How a child ended: empty when it did all it was asked to; otherwise a sentence ("ended by signal
// 11 (Segmentation fault): ...").
[[nodiscard]] std::string run_child(const nlohmann::json& request, std::chrono::milliseconds limit,
                                    const on_record& record);

// The same for another word of this command: `words` begin with the command's name. Whatever that
// executes writes the records.
[[nodiscard]] std::string run_words(const std::vector<std::string>& words,
                                    std::chrono::milliseconds limit, const on_record& record);

// In the child: one record to the parent. Throws std::system_error when the parent is gone.
void write_record(const nlohmann::json& record);

// In the child, before anything else: die with the parent.
void follow_parent();

}  // namespace treadle::lab
