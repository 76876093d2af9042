// /proc/PID.
#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/scratch.hpp>

#include "proc.hpp"

namespace vellum::unix {

namespace {

// Only a process's owner sees what is in its memory and where its files are.
Result<void> check_view(const ProcSubject& subject) {
  const FileCredentials who = calling_credentials();
  const ProcessOwner owner = VELLUM_TRY(process_owner(subject.process));
  return who.superuser || who.user == owner.user || calling_process() == subject.process
             ? Result<void>()
             : Result<void>(Errno::access_denied);
}

template <ProcessText kWhich, bool kOwnersOnly = false>
Result<void> write_text(Files& /*files*/, const ProcSubject& subject, TextSink& sink) {
  if (kOwnersOnly) {
    VELLUM_TRY(check_view(subject));
  }
  return write_process_text(subject.thread, kWhich, sink);
}

Result<void> write_name(Files& /*files*/, const ProcSubject& subject, TextSink& sink) {
  VELLUM_TRY(write_process_text(subject.thread, ProcessText::name, sink));
  sink.text("\n");
  return {};
}

Result<FileContext> files_of(const ProcSubject& subject) {
  VELLUM_TRY(check_view(subject));
  FileContext context = VELLUM_TRY(process_files(subject.process));
  if (!context.table || !context.paths) {
    return Errno::no_entry;  // it has ended
  }
  return context;
}

Result<Path> place_of_program(Files& /*files*/, const ProcSubject& subject) {
  VELLUM_TRY(check_view(subject));
  return process_program(subject.process);
}
Result<Path> place_of_root(Files& /*files*/, const ProcSubject& subject) {
  return VELLUM_TRY(files_of(subject)).paths->root();
}
Result<Path> place_of_current(Files& /*files*/, const ProcSubject& subject) {
  return VELLUM_TRY(files_of(subject)).paths->current();
}
Result<Path> place_of_descriptor(Files& /*files*/, const ProcSubject& subject) {
  const Result<Ref<OpenFile>> file = VELLUM_TRY(files_of(subject)).table->get(subject.descriptor);
  return file.ok() ? Result<Path>(file.value()->path()) : Result<Path>(Errno::no_entry);
}

std::uint32_t mount_number(const Path& path) { return path.mount ? path.mount->id() : 0; }

Result<void> write_descriptor(Files& /*files*/, const ProcSubject& subject, TextSink& sink) {
  const FileContext context = VELLUM_TRY(files_of(subject));
  const Result<Ref<OpenFile>> found = context.table->get(subject.descriptor);
  if (!found.ok()) {
    return Errno::no_entry;
  }
  OpenFile& file = *found.value();
  const Result<CloseOnExec> close_on_exec = context.table->close_on_exec(subject.descriptor);
  const bool closes = close_on_exec.ok() && close_on_exec.value() == CloseOnExec::yes;
  ByteCount position;
  {
    const OpenFile::PositionGuard guard(file);
    position = guard.position;
  }
  sink.text("pos:\t").decimal(position.value());
  sink.text("\nflags:\t0").octal(file.flags() | (closes ? open_flag::kCloseOnExec : 0));
  sink.text("\nmnt_id:\t").decimal(mount_number(file.path()));
  sink.text("\nino:\t").decimal(file.node().attributes().inode).text("\n");
  return {};
}

Result<void> read_pagemap(Files& /*files*/, const ProcSubject& subject, ByteCount position, Transfer& to) {
  VELLUM_TRY(check_view(subject));
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  if (position.value() % kWord != 0 || to.left().value() % kWord != 0) {
    return Errno::invalid;
  }
  const ShowFrames frames = calling_credentials().superuser ? ShowFrames::yes : ShowFrames::no;
  return read_process_pagemap(subject.process, position.value() / kWord, frames, to);
}

Result<void> store_oom_adjustment(Files& /*files*/, const ProcSubject& subject, std::string_view text) {
  return set_oom_adjustment(subject.process, VELLUM_TRY(integer_in(text)));
}

constexpr std::uint16_t kOwner = 0400;

#define VELLUM_PROC_COMMON                                                                                         \
  {.name = "status", .write = write_text<ProcessText::status>},                                                    \
      {.name = "stat", .write = write_text<ProcessText::stat>},                                                    \
      {.name = "statm", .write = write_text<ProcessText::statm>},                                                  \
      {.name = "maps", .write = write_text<ProcessText::maps, true>},                                              \
      {.name = "smaps", .write = write_text<ProcessText::smaps, true>},                                            \
      {.name = "smaps_rollup", .write = write_text<ProcessText::smaps_rollup, true>},                              \
      {.name = "pagemap", .permissions = kOwner, .read = read_pagemap},                                            \
      {.name = "cmdline", .write = write_text<ProcessText::command_line>},                                         \
      {.name = "environ", .permissions = kOwner, .write = write_text<ProcessText::environment, true>},             \
      {.name = "auxv", .permissions = kOwner, .write = write_text<ProcessText::auxiliary, true>},                  \
      {.name = "comm", .permissions = 0644, .write = write_name},                                                  \
      {.name = "limits", .write = write_text<ProcessText::limits>}, {.name = "mounts", .write = write_mounts},     \
      {.name = "mountinfo", .write = write_mount_info},                                                            \
      {.name = "oom_score", .write = write_text<ProcessText::oom_score>},                                          \
      {.name = "oom_score_adj",                                                                                    \
       .permissions = 0644,                                                                                        \
       .write = write_text<ProcessText::oom_adjustment>,                                                           \
       .store = store_oom_adjustment},                                                                             \
      {.name = "exe", .kind = NodeKind::symlink, .permissions = 0777, .place = place_of_program},                  \
      {.name = "cwd", .kind = NodeKind::symlink, .permissions = 0777, .place = place_of_current},                  \
      {.name = "root", .kind = NodeKind::symlink, .permissions = 0777, .place = place_of_root},                    \
      {.name = "fd", .kind = NodeKind::directory, .permissions = 0500, .children = ProcChildren::descriptors}, {   \
    .name = "fdinfo", .kind = NodeKind::directory, .permissions = 0555, .children = ProcChildren::descriptor_infos \
  }

constexpr ProcSpec kThreadTable[] = {VELLUM_PROC_COMMON};
constexpr ProcSpec kProcessTable[] = {
    VELLUM_PROC_COMMON,
    {.name = "task", .kind = NodeKind::directory, .permissions = 0555, .children = ProcChildren::threads}};

#undef VELLUM_PROC_COMMON

constexpr ProcSpec kDescriptorLink = {
    .name = "", .kind = NodeKind::symlink, .permissions = 0700, .place = place_of_descriptor};
constexpr ProcSpec kDescriptorInfo = {.name = "", .permissions = 0444, .write = write_descriptor};

}  // namespace

std::span<const ProcSpec> proc_process_table() { return kProcessTable; }
std::span<const ProcSpec> proc_thread_table() { return kThreadTable; }
const ProcSpec& proc_descriptor_link() { return kDescriptorLink; }
const ProcSpec& proc_descriptor_info() { return kDescriptorInfo; }

}  // namespace vellum::unix
