// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/explanations.h"

#include <fmt/format.h>

#include <algorithm>

#include "emu/explain/report.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxShown = 8;     // with kAuto, in all
constexpr size_t kMaxHeld = 64;     // of one process
constexpr size_t kProbeInsns = 16;  // programs by hand that ask what a kernel can do are no longer

// Did somebody write this program for its own sake? A compiler tells lines; a loader that asks what it may do with a
// function's BTF tells functions at most.
bool is_compiled(const LoadRequest& request) {
  return request.line_info_cnt || request.insns.size() > kProbeInsns;
}

}  // namespace

void Explanations::refused(pid_t process, const VerifierWorld& world, const LoadRequest& request) {
  if (mode_ == ExplainMode::kNever || (mode_ == ExplainMode::kAuto && !is_compiled(request))) return;
  const Rejection rejection = diagnose(world, request);
  if (!rejection.error || rejection.error == EAGAIN) return;  // only its log was too long, or a signal came
  std::string text = to_text(explain(rejection));
  if (mode_ == ExplainMode::kAlways) return show(text);
  // Loaders try again to get the log: the last attempt stands for all.
  auto& [loaded_any, held, dropped] = processes_[process];
  std::erase_if(held, [&](const Held& h) { return h.text == text; });
  if (held.size() == kMaxHeld) {
    held.erase(held.begin());
    ++dropped;
  }
  held.push_back({request.name, std::move(text)});
}

void Explanations::loaded(pid_t process, const LoadRequest& request) {
  if (mode_ != ExplainMode::kAuto || !is_compiled(request)) return;
  Process& loader = processes_[process];
  loader.loaded_any = true;
  std::erase_if(loader.held, [&](const Held& h) { return h.name == request.name; });
}

void Explanations::process_ended(pid_t process, bool failed) {
  auto found = processes_.find(process);
  if (found == processes_.end()) return;
  if (failed || !found->second.loaded_any) show_held(found->second);
  processes_.erase(found);
}

void Explanations::finish() {
  for (const auto& [id, process] : processes_) show_held(process);
  processes_.clear();
  if (left_out_) {
    show_(
        fmt::format("bpfemu: {} more refused programs are not explained; --explain=always explains all\n", left_out_));
  }
}

void Explanations::show_held(const Process& process) {
  for (const Held& held : process.held) show(held.text);
  left_out_ += process.dropped;
}

void Explanations::show(const std::string& text) {
  if (shown_.contains(text)) return;
  if (mode_ == ExplainMode::kAuto && shown_.size() == kMaxShown) {
    ++left_out_;
    return;
  }
  shown_.insert(text);
  show_(text);
}

}  // namespace bpfemu
