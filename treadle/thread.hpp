// Threads, shaped like <thread>: thread, jthread, this_thread, and attributes that std lacks.
//
// A thread that is made inside runtime::run() belongs to that runtime, any other to the default
// one. What it runs may block, throw inside, and use every primitive of the library; C++
// thread_local variables are the worker's and not the thread's: use thread_specific.
#pragma once

#include "treadle/jthread.hpp"
#include "treadle/plain_thread.hpp"
#include "treadle/this_thread.hpp"
#include "treadle/thread_attributes.hpp"
