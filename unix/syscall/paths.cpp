#include "paths.hpp"

namespace vellum::unix {

Result<Resolution> resolution_from(std::int32_t directory, std::string_view path) {
  PathContext& paths = *calling_files().paths;
  Resolution from = {.root = paths.root(), .current = {}, .who = calling_credentials()};
  if (directory == kCurrentDirectory || path.starts_with('/')) {
    from.current = paths.current();
    return from;
  }
  from.current = VELLUM_TRY(any_file(directory))->path();
  if (!path.empty() && !from.current.node().is_directory()) {
    return Errno::not_directory;
  }
  return from;
}

Result<Path> place_at(std::int32_t directory, VirtAddr path, std::uint64_t flags) {
  UserText text;
  VELLUM_TRY(text.read(path));
  if (text.view().empty() && (flags & at_flag::kEmptyPath) != 0) {
    return directory == kCurrentDirectory ? calling_files().paths->current() : VELLUM_TRY(any_file(directory))->path();
  }
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  const LastSymlink last = (flags & at_flag::kNoFollow) != 0 ? LastSymlink::keep : LastSymlink::follow;
  return resolve(all_files(), from, text.view(), last);
}

Result<std::uint64_t> give_descriptor(Ref<OpenFile> file, bool close_on_exec) {
  const CloseOnExec mark = close_on_exec ? CloseOnExec::yes : CloseOnExec::no;
  const int descriptor = VELLUM_TRY(calling_files().table->add(std::move(file), mark, calling_open_file_limit()));
  return static_cast<std::uint64_t>(descriptor);
}

}  // namespace vellum::unix
