// Errors, walks and explanations in words.
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <vellum/vellum.hpp>

namespace libvellum {

namespace {

template <class... Arguments>
std::string words(const char* format, Arguments... arguments) {
  char line[512];
  const int length = std::snprintf(line, sizeof(line), format, arguments...);
  return std::string(line, length < 0 ? 0 : static_cast<std::size_t>(length));
}

unsigned long long printable(std::uint64_t number) { return number; }

const char* words_of(Errc code) {
  switch (code) {
    case Errc::no_mapping:
      return "nothing is mapped there";
    case Errc::access_denied:
      return "what is mapped there does not permit it";
    case Errc::non_canonical:
      return "the processor has no such address";
    case Errc::bus_error:
      return "it lies beyond the end of the object, or its contents cannot be read";
    case Errc::out_of_memory:
      return "the machine is out of memory";
    case Errc::invalid:
      return "an argument is wrong";
    case Errc::no_memory:
      return "too large, no room for it, a hole in the range, or the machine is out of memory";
    case Errc::not_permitted:
      return "nothing may be mapped that low";
    case Errc::exists:
      return "something is mapped there already";
    case Errc::rights:
      return "more rights than the mapping may have";
    case Errc::overflow:
      return "the offset and the length together are too large";
    case Errc::out_of_range:
      return "it lies beyond the end of the object";
    case Errc::io_error:
      return "the object's function failed";
    case Errc::bad_address:
      return "it is not one mapping";
    case Errc::try_again:
      return "there is no page for it now";
    case Errc::empty_handle:
      return "the handle is empty: it was moved from, or closed";
    case Errc::other_machine:
      return "the two are on different machines";
    case Errc::other_space:
      return "the snapshot is of a space that this one is not related to by fork";
    case Errc::no_such_cpu:
      return "the machine has no CPU of that number";
    case Errc::cpu_busy:
      return "the CPU is driven already";
    case Errc::bad_memory_size:
      return "a machine's memory is a multiple of 4096 bytes, at least 1 MiB, and no more than the format can address";
    case Errc::bad_cpu_count:
      return "a machine has 1 to 255 CPUs";
    case Errc::no_such_layout:
      return "the format has no such user layout";
  }
  return "unknown";
}

const char* name_of(Access access) {
  return access == Access::read ? "read" : access == Access::write ? "write" : "execution";
}

std::string text_of(Rights rights) {
  return {rights.read ? 'r' : '-', rights.write ? 'w' : '-', rights.execute ? 'x' : '-'};
}

std::string text_of(const Meaning& meaning) {
  std::string text = text_of(meaning.rights) + (meaning.shared ? 's' : 'p');
  if (meaning.has_object) {
    text += words(" object %llu at 0x%llx", printable(meaning.object), printable(meaning.offset));
  } else {
    text += " anonymous";
  }
  return meaning.grows_down ? text + ", grows down" : text;
}

std::string text_of(const Region& region) {
  return words("0x%llx-0x%llx %s", printable(region.start), printable(region.end), text_of(region.meaning).c_str());
}

std::string text_of(const WalkLevel& level) {
  std::string text = words("level %u  table 0x%llx[%u]  0x%016llx  ", level.level, printable(level.table), level.index,
                           printable(level.entry));
  switch (level.kind) {
    case EntryKind::empty:
      text += "empty";
      break;
    case EntryKind::swapped:
      text += "in swap";
      break;
    case EntryKind::page:
    case EntryKind::table:
      text += words("%s 0x%llx %s%s%s%s%s", level.kind == EntryKind::page ? "page" : "table", printable(level.target),
                    text_of(level.rights).c_str(), level.user ? " user" : "", level.accessed ? " accessed" : "",
                    level.dirty ? " dirty" : "", level.present ? "" : " denied");
      break;
  }
  if (level.table_users > 1) {
    text += words("  (table shared by %u)", level.table_users);
  }
  if (level.object_table) {
    text += "  (the object's table)";
  }
  return level.meaning ? text + "  means " + text_of(*level.meaning) : text;
}

}  // namespace

std::string Error::message() const {
  if (code < Errc::no_mapping || code > Errc::out_of_memory) {
    return words_of(code);
  }
  return words("%s at 0x%llx: %s", name_of(access), printable(address), words_of(code));
}

int Error::linux_errno() const {
  switch (code) {
    case Errc::invalid:
      return EINVAL;
    case Errc::no_memory:
      return ENOMEM;
    case Errc::not_permitted:
      return EPERM;
    case Errc::exists:
      return EEXIST;
    case Errc::rights:
      return EACCES;
    case Errc::overflow:
      return EOVERFLOW;
    case Errc::out_of_range:
      return ERANGE;
    case Errc::io_error:
      return EIO;
    case Errc::bad_address:
      return EFAULT;
    case Errc::try_again:
      return EAGAIN;
    default:
      return 0;
  }
}

int Error::linux_signal() const {
  switch (code) {
    case Errc::no_mapping:
    case Errc::access_denied:
    case Errc::non_canonical:
      return SIGSEGV;
    case Errc::bus_error:
      return SIGBUS;
    default:
      return 0;
  }
}

std::string Walk::to_string() const {
  std::string text = words("0x%llx\n", printable(address));
  for (const WalkLevel& level : levels) {
    text += "  " + text_of(level) + '\n';
  }
  text += "  means   " + (meaning ? text_of(*meaning) : "nothing") + '\n';
  text += "  granted " + text_of(granted);
  if (physical) {
    text += words(", physical 0x%llx", printable(*physical));
    text += page_users == 0 ? ", the page of zeros" : words(", named by %u", page_users);
  }
  return text + '\n';
}

std::string Explanation::to_string() const {
  std::string text = words("0x%llx\n  in      %.*s (0x%llx-0x%llx): %.*s\n", printable(address),
                           static_cast<int>(layout.name.size()), layout.name.data(), printable(layout.start),
                           printable(layout.last), static_cast<int>(layout.purpose.size()), layout.purpose.data());
  if (!clue.empty()) {
    text += "  meaning " + clue + '\n';
  }
  text += "  mapped  " + (region ? text_of(*region) : "nothing") + '\n';
  if (above) {
    text += "  above   " + text_of(*above) + '\n';
  }
  if (below) {
    text += "  below   " + text_of(*below) + '\n';
  }
  text +=
      words("  read    %.*s\n  write   %.*s\n  execute %.*s\n", static_cast<int>(on_read.size()), on_read.data(),
            static_cast<int>(on_write.size()), on_write.data(), static_cast<int>(on_execute.size()), on_execute.data());
  return text;
}

}  // namespace libvellum
