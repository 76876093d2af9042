#include <vellum/unix/system_call.hpp>
#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/transfer.hpp>
namespace vellum::unix {
namespace {
Result<std::uint64_t> sys_write(const Arguments& a) {
  Ref<OpenFile> file = VELLUM_TRY(calling_files().table->get(a.integer(0)));
  const UserSegment s{a.address(1), ByteCount(a.value[2])};
  Transfer t(std::span<const UserSegment>(&s, 1));
  ByteCount p{0}; VELLUM_TRY(file->write(t, p));
  return t.moved().value();
}
constexpr SystemCall kCalls[] = {{1, "write", sys_write, 3, {}}};
}
std::span<const SystemCall> file_calls() { return kCalls; }
std::span<const SystemCall> path_calls() { return {}; }
std::span<const SystemCall> event_calls() { return {}; }
}
