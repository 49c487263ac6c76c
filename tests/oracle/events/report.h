// SPDX-License-Identifier: Apache-2.0
// Records as lines that are the same on every machine: tasks by their part, pointers by whether there is one.
#pragma once

#include "tests/oracle/events/listener.h"

#include <map>

namespace events {

class Report {
 public:
  Report(const std::vector<Listener>& listeners, const std::vector<Step>& steps, u32 root)
      : listeners_(listeners), steps_(steps), root_(root) {}

  void take(const void* record, size_t size);
  // Prints a line for each record, in the steps' order, and for each step and task one with the order of its events.
  void print() const;

 private:
  struct Line {
    std::string question, answer;
  };
  std::string task(u32 id);
  std::string values(const Listener& listener, const u8* at);
  std::string value(const Value& value, const u8* at);

  const std::vector<Listener>& listeners_;
  const std::vector<Step>& steps_;
  u32 root_, step_ = 0;
  // Of the step: tasks in the order in which they showed up, how often each question was asked, what each task passed.
  std::map<u32, std::string> tasks_;
  std::map<std::string, u32> asked_;
  std::map<std::pair<u32, std::string>, std::string> orders_;
  std::map<u32, std::vector<Line>> lines_;
};

}  // namespace events
