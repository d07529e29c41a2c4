// How long the other threads of a program stand still while one of them makes a blocking call.
//
// One thread ticks: it reads the clock, yields, and keeps the longest gap between two ticks. The
// other makes the call. What the call does is up to the caller; it must be a real system call that
// blocks its kernel thread, and it must end by itself.
#pragma once

#include <functional>
#include <optional>

#include "treadle/lab/lab_context.hpp"

namespace treadle::lab {

// A call that is over sooner shows nothing that a time slice of the kernel would not show too.
inline constexpr double call_shortest = 10e6;
// "No stall" is read as a gap of at most a quarter of the call: on a machine with other work the
// kernel takes the CPU away for some milliseconds whatever the model.
inline constexpr double free_part = 0.25;

struct stall {
  sample call;     // how long the call took
  sample longest;  // the ticking thread's longest gap meanwhile
};

// `prepare` runs before each repetition, outside of the measurement; `call` blocks. `callers`
// threads call at the same time, in a runtime `with` these options, or else that of the lab's model
// and ticker_width(); so many `times`, or as often as is usual.
stall measure_stall(lab_context& lab, const std::function<void()>& prepare,
                    const std::function<void()>& call, unsigned callers = 1,
                    const runtime_options* with = nullptr, unsigned times = 0);

// One row: the gap as predicted, or that the call was too short to tell.
void report_gap(lab_context& lab, const subject& row, const prediction& expected, const stall& seen,
                std::string_view note = {});

// Kernel threads that M:N is given: two at least, even on one CPU, because with a single one it is
// M:1. Nothing for the other models.
std::optional<unsigned> ticker_width(lab_context& lab);

// What the text predicts for the gap, from the call's measured length.
prediction stall_prediction(treadle::model of, const sample& call);

// How long the calls that we choose the length of last, in nanoseconds.
double call_length(const lab_context& lab);

// Sleeps in the kernel: clock_nanosleep as libc makes it, which no runtime sees.
void sleep_in_kernel(double nanoseconds);

}  // namespace treadle::lab
