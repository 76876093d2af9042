#include "programs.hpp"

#include "modules.hpp"
#include "regions.hpp"

namespace vellum::kernel {

namespace {

constinit unix::ProcFile kmap_file("kmap", [](unix::TextSink& sink) {
  write_kmap([](void* to, const char* line) { static_cast<unix::TextSink*>(to)->text(line); }, &sink);
});

}  // namespace

Programs::Programs(Kernel& kernel, unix::TerminalPort& port, unix::RunReporter& reporter,
                   const unix::ProgramLayout& layout)
    : windows(kernel.virtual_memory, regions().file_windows),
      files(kernel.virtual_memory, regions().heap_pages, windows),
      terminal(port),
      standard_devices(terminal),
      guest_memory(kernel.virtual_memory.objects),
      processes({.memory = kernel.virtual_memory,
                 .source = regions().heap_pages,
                 .argument_source = regions().argument_pages,
                 .files = files,
                 .reporter = reporter,
                 .kernel_root = &kernel.tables.root(),
                 .layout = layout}) {
  processes.terminal = &terminal;
}

unix::Resolution Programs::from_root() {
  const unix::Path root = files.root();
  return {.root = root, .current = root, .who = {.superuser = true}};
}

Result<unix::Path> Programs::make_directories(std::string_view path) {
  const unix::Resolution from = from_root();
  const unix::NewNode directory = {.kind = unix::NodeKind::directory, .permissions = 0755};
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') {
      continue;
    }
    const Result<void> made = unix::make_node(files, from, std::string_view(path.data(), end), directory);
    if (!made.ok() && made.error() != Errno::exists) {
      return made.error();
    }
  }
  return unix::resolve(files, from, path);
}

Result<void> Programs::add_devices() {
  files.add_proc_file(kmap_file);
  VELLUM_TRY(standard_devices.add_to(files));
  return files.add_device(guest_memory);
}

Result<void> Programs::mount_usual() {
  const struct {
    std::string_view path;
    std::string_view type;
  } mounts[] = {{"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}};
  for (const auto& mount : mounts) {
    const unix::Path point = VELLUM_TRY(make_directories(mount.path));
    VELLUM_TRY(files.mount(point, {.type = mount.type, .source = mount.type}));
  }
  const unix::Path dev = VELLUM_TRY(unix::resolve(files, from_root(), "/dev"));
  return unix::add_usual_names(files, dev);
}

}  // namespace vellum::kernel
