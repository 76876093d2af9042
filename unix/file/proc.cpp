#include "proc.hpp"

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/scratch.hpp>

#include "ram_node.hpp"
#include "regular_file.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kProcMagic = 0x9fa0;
constexpr std::uint64_t kSysMagic = 0x62656572;
constexpr std::string_view kCpuPrefix = "cpu";
constexpr ProcSpec kProcess = {
    .name = "", .kind = NodeKind::directory, .permissions = 0555};  // of a process's directory
constexpr ProcSpec kThread = {.name = "", .kind = NodeKind::directory, .permissions = 0555};
constexpr ProcSpec kRegistered = {.name = "", .permissions = 0444};
constexpr ProcSpec kRoot = {
    .name = "", .kind = NodeKind::directory, .permissions = 0555, .children = ProcChildren::processes};
constexpr ProcSpec kSysRoot = {.name = "", .kind = NodeKind::directory, .permissions = 0555};

std::optional<std::int32_t> number_of(std::string_view name) {
  std::int32_t number = 0;
  if (name.empty() || name.size() > 9 || (name.front() == '0' && name.size() > 1)) {
    return std::nullopt;
  }
  for (const char digit : name) {
    if (digit < '0' || digit > '9') {
      return std::nullopt;
    }
    number = number * 10 + (digit - '0');
  }
  return number;
}

class ProcNode final : public Node {
 public:
  ProcNode(FileSystem& system, const ProcSpec& spec, const ProcSubject& subject, const ProcFile* registered)
      : Node(system, spec.kind), spec_(spec), subject_(subject), registered_(registered) {}

  Attributes attributes() override;
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override;
  Result<Ref<Entry>> lookup(Entry& directory, std::string_view name) override;
  Result<void> list(Entry& directory, Listing& listing, DirectorySink& sink) override;
  Result<Text> link_target(FileMemory& memory) override;
  Result<std::optional<Path>> jump() override;
  [[nodiscard]] Result<void> write_text(TextSink& sink);
  [[nodiscard]] bool may_be_stored() const { return spec_.store != nullptr; }
  [[nodiscard]] Result<void> store(std::string_view text) { return spec_.store(files(), subject_, text); }
  Result<void> truncate(ByteCount size) override { return may_be_stored() ? Result<void>() : Node::truncate(size); }
  [[nodiscard]] Result<void> read_bytes(ByteCount position, Transfer& to) {
    return spec_.read(files(), subject_, position, to);
  }

 private:
  friend FileMemory;
  ~ProcNode() = default;
  void destroy() override { files().memory().destroy(this); }
  [[nodiscard]] Files& files() const { return file_system().files(); }

  [[nodiscard]] std::uint64_t inode_of(const ProcSpec& spec, const ProcSubject& subject) const;
  [[nodiscard]] std::span<const ProcSpec> table() const;
  [[nodiscard]] Result<Ref<Entry>> make(Entry& directory, std::string_view name, const ProcSpec& spec,
                                        const ProcSubject& subject, const ProcFile* registered = nullptr);
  [[nodiscard]] Result<Ref<Entry>> lookup_number(Entry& directory, std::string_view name, std::int32_t number);
  [[nodiscard]] std::optional<std::int32_t> next_number(std::int32_t after) const;
  [[nodiscard]] ProcSubject child_subject(std::int32_t number) const;
  [[nodiscard]] const ProcSpec& child_spec() const;
  // What stands before the numbers of children.
  [[nodiscard]] std::string_view prefix() const {
    return spec_.children == ProcChildren::cpus ? kCpuPrefix : std::string_view();
  }

  const ProcSpec& spec_;
  const ProcSubject subject_;
  const ProcFile* const registered_;
};

// Reads give the text of the moment when it was read from its beginning.
class ProcTextFile final : public OpenFile {
 public:
  ProcTextFile(FileMemory& memory, const Path& path, std::uint32_t flags)
      : OpenFile(memory, path, flags), text_(memory) {}

  bool is_seekable() const override { return true; }
  Result<void> read(Transfer& to, ByteCount position) override {
    const MutexGuard guard(lock_);
    if (position.is_zero() || !is_written_) {
      text_.clear();
      VELLUM_TRY(static_cast<ProcNode&>(node()).write_text(text_));
      is_written_ = true;
      if (text_.is_cut()) {
        return Errno::no_memory;
      }
    }
    const std::string_view text = text_.view();
    if (position.value() >= text.size()) {
      return {};
    }
    const std::string_view rest = text.substr(static_cast<std::size_t>(position.value()));
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), to.left().value()));
    return to.put(std::as_bytes(std::span(rest.data(), length)));
  }
  // Only from the beginning: what follows a first write means nothing, as on Linux.
  Result<void> write(Transfer& from, ByteCount& position) override {
    ProcNode& written = static_cast<ProcNode&>(node());
    if (!written.may_be_stored()) {
      return Errno::not_permitted;
    }
    const ByteCount size = from.left();
    if (position.is_zero() && !size.is_zero()) {
      Transfer unread = from;  // after an error nothing was taken
      char text[64];
      const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(size.value(), sizeof text));
      VELLUM_TRY(unread.get(std::as_writable_bytes(std::span(text).first(taken))));
      VELLUM_TRY(written.store(std::string_view(text, taken)));
    }
    from.skip();
    position += size;
    return {};
  }

 private:
  friend FileMemory;
  ~ProcTextFile() = default;
  void destroy() override { memory().destroy(this); }

  Mutex lock_;
  TextBuffer text_ VELLUM_GUARDED_BY(lock_);
  bool is_written_ VELLUM_GUARDED_BY(lock_) = false;
};

// A file of bytes that are made as they are read.
class ProcBinaryFile final : public OpenFile {
 public:
  ProcBinaryFile(FileMemory& memory, const Path& path, std::uint32_t flags) : OpenFile(memory, path, flags) {}

  bool is_seekable() const override { return true; }
  Result<void> read(Transfer& to, ByteCount position) override {
    return static_cast<ProcNode&>(node()).read_bytes(position, to);
  }
  Result<void> write(Transfer& /*from*/, ByteCount& /*position*/) override { return Errno::not_permitted; }

 private:
  friend FileMemory;
  ~ProcBinaryFile() = default;
  void destroy() override { memory().destroy(this); }
};

// Stable, and different for what is about different processes.
std::uint64_t ProcNode::inode_of(const ProcSpec& spec, const ProcSubject& subject) const {
  const auto place = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&spec)) & 0xffffff;
  const auto thread = static_cast<std::uint64_t>(subject.thread.value());
  const auto descriptor = static_cast<std::uint64_t>(subject.descriptor + 1);
  return (thread << 40) + (descriptor << 24) + place;
}

Attributes ProcNode::attributes() {
  const Timestamp time = now();
  Attributes attributes = {.kind = kind(),
                           .permissions = spec_.permissions,
                           .inode = inode_of(spec_, subject_),
                           .links = is_directory() ? 2U : 1U,
                           .size = ByteCount(spec_.kind == NodeKind::symlink && subject_.descriptor >= 0 ? 64 : 0),
                           .accessed = time,
                           .modified = time,
                           .changed = time,
                           .created = time};
  if (subject_.process.value() != 0) {
    const Result<ProcessOwner> owner = process_owner(subject_.process);
    if (owner.ok()) {
      attributes.owner = owner.value().user;
      attributes.group = owner.value().group;
    }
  }
  return attributes;
}

Result<Ref<OpenFile>> ProcNode::open(const Path& path, std::uint32_t flags) {
  if (is_directory()) {
    return open_directory(path, flags);
  }
  FileMemory& memory = files().memory();
  if (spec_.read != nullptr) {
    return Ref<OpenFile>(Ref<ProcBinaryFile>::adopt(VELLUM_TRY(memory.create<ProcBinaryFile>(memory, path, flags))));
  }
  return Ref<OpenFile>(Ref<ProcTextFile>::adopt(VELLUM_TRY(memory.create<ProcTextFile>(memory, path, flags))));
}

Result<void> ProcNode::write_text(TextSink& sink) {
  if (registered_ != nullptr) {
    registered_->write(sink);
    return {};
  }
  return spec_.write != nullptr ? spec_.write(files(), subject_, sink) : Result<void>(Errno::invalid);
}

std::span<const ProcSpec> ProcNode::table() const {
  if (&spec_ == &kRoot) {
    return proc_system_table();
  }
  if (&spec_ == &kProcess) {
    return proc_process_table();
  }
  if (&spec_ == &kSysRoot) {
    return sys_table();
  }
  return &spec_ == &kThread ? proc_thread_table() : spec_.table;
}

Result<Ref<Entry>> ProcNode::make(Entry& directory, std::string_view name, const ProcSpec& spec,
                                  const ProcSubject& subject, const ProcFile* registered) {
  FileMemory& memory = files().memory();
  Ref<Node> node = Ref<ProcNode>::adopt(VELLUM_TRY(memory.create<ProcNode>(file_system(), spec, subject, registered)));
  return Entry::create(memory, directory.naming(), Ref<Entry>::share(directory), name, std::move(node));
}

ProcSubject ProcNode::child_subject(std::int32_t number) const {
  ProcSubject subject = subject_;
  switch (spec_.children) {
    case ProcChildren::processes:
      subject.process = subject.thread = ProcessId(number);
      break;
    case ProcChildren::threads:
      subject.thread = ProcessId(number);
      break;
    case ProcChildren::descriptors:
    case ProcChildren::descriptor_infos:
    case ProcChildren::cpus:
      subject.descriptor = number;
      break;
    case ProcChildren::none:
      break;
  }
  return subject;
}

const ProcSpec& ProcNode::child_spec() const {
  switch (spec_.children) {
    case ProcChildren::threads:
      return kThread;
    case ProcChildren::descriptors:
      return proc_descriptor_link();
    case ProcChildren::descriptor_infos:
      return proc_descriptor_info();
    case ProcChildren::cpus:
      return sys_cpu();
    case ProcChildren::processes:
    case ProcChildren::none:
      break;
  }
  return kProcess;
}

// The lowest child above a number.
std::optional<std::int32_t> ProcNode::next_number(std::int32_t after) const {
  std::optional<ProcessId> next;
  switch (spec_.children) {
    case ProcChildren::processes:
      next = next_process(ProcessId(after));
      break;
    case ProcChildren::threads:
      next = next_thread(subject_.process, ProcessId(after));
      break;
    case ProcChildren::descriptors:
    case ProcChildren::descriptor_infos: {
      const Result<FileContext> context = process_files(subject_.process);
      const int descriptor = context.ok() && context.value().table ? context.value().table->next(after + 1) : -1;
      return descriptor < 0 ? std::nullopt : std::optional<std::int32_t>(descriptor);
    }
    case ProcChildren::cpus:
      return after + 1 < static_cast<std::int32_t>(system_figures().cpu_count) ? std::optional(after + 1)
                                                                               : std::nullopt;
    case ProcChildren::none:
      break;
  }
  return next ? std::optional<std::int32_t>(next->value()) : std::nullopt;
}

Result<Ref<Entry>> ProcNode::lookup_number(Entry& directory, std::string_view name, std::int32_t number) {
  const std::optional<std::int32_t> found = next_number(number - 1);
  if (!found || *found != number) {
    return Errno::no_entry;
  }
  return make(directory, name, child_spec(), child_subject(number));
}

Result<Ref<Entry>> ProcNode::lookup(Entry& directory, std::string_view name) {
  if (!is_directory()) {
    return Errno::not_directory;
  }
  if (subject_.process.value() != 0 && !process_owner(subject_.process).ok()) {
    return Errno::no_entry;
  }
  for (const ProcSpec& spec : table()) {
    if (spec.name == name) {
      return make(directory, name, spec, subject_);
    }
  }
  const std::size_t skipped = name.starts_with(prefix()) ? prefix().size() : 0;
  if (const std::optional<std::int32_t> number = number_of(name.substr(skipped));
      number && skipped == prefix().size() && spec_.children != ProcChildren::none) {
    return lookup_number(directory, name, *number);
  }
  if (&spec_ == &kRoot) {
    if (const ProcFile* const file = files().find_proc_file(name)) {
      return make(directory, name, kRegistered, {}, file);
    }
  }
  return Errno::no_entry;
}

// Positions: the table's entries, then the registered files, then the numbers.
Result<void> ProcNode::list(Entry& /*directory*/, Listing& listing, DirectorySink& sink) {
  constexpr std::uint64_t kRegisteredFrom = 0x1000;
  constexpr std::uint64_t kNumbersFrom = 0x10000;
  std::uint64_t position = listing.position;
  const std::span<const ProcSpec> entries = table();
  for (; position < entries.size(); ++position) {
    const ProcSpec& spec = entries[static_cast<std::size_t>(position)];
    if (!sink.put(spec.name, spec.kind, inode_of(spec, subject_), position + 1)) {
      return {};
    }
  }
  position = std::max(position, kRegisteredFrom);
  while (&spec_ == &kRoot && position < kNumbersFrom) {
    const ProcFile* const file = files().proc_file(position - kRegisteredFrom);
    if (file == nullptr) {
      break;
    }
    ++position;
    if (!sink.put(file->name(), NodeKind::file, inode_of(kRegistered, {}), position)) {
      return {};
    }
  }
  position = std::max(position, kNumbersFrom);
  auto after = static_cast<std::int32_t>(position - kNumbersFrom) - 1;
  while (const std::optional<std::int32_t> number = next_number(after)) {
    char digits[16];
    FixedText text(digits);
    text.text(prefix()).decimal(static_cast<std::uint64_t>(*number));
    const ProcSpec& spec = child_spec();
    const std::uint64_t next = kNumbersFrom + static_cast<std::uint64_t>(*number) + 1;
    if (!sink.put(text.view(), spec.kind, inode_of(spec, child_subject(*number)), next)) {
      return {};
    }
    after = *number;
  }
  return {};
}

Result<std::optional<Path>> ProcNode::jump() {
  if (spec_.place == nullptr) {
    return std::optional<Path>();
  }
  return std::optional<Path>(VELLUM_TRY(spec_.place(files(), subject_)));
}

Result<Text> ProcNode::link_target(FileMemory& memory) {
  Scratch scratch(memory);
  VELLUM_TRY(scratch.allocate(ByteCount(kLongestPath)));
  if (spec_.place != nullptr) {
    const Path place = VELLUM_TRY(spec_.place(files(), subject_));
    const Path root = calling_files().paths->root();
    return Text::create(memory, VELLUM_TRY(files().write_path(place, root, scratch.characters())));
  }
  if (spec_.target == nullptr) {
    return Errno::invalid;
  }
  FixedText text(scratch.characters());
  VELLUM_TRY(spec_.target(files(), subject_, text));
  return Text::create(memory, text.view());
}

class ProcFileSystem final : public FileSystem {
 public:
  ProcFileSystem(Files& files, std::string_view type, std::uint64_t magic)
      : FileSystem(files, type, files.next_device()), magic_(magic) {}
  FileSystemFigures figures() override { return {.magic = magic_}; }
  using FileSystem::set_root;

 private:
  friend FileMemory;
  ~ProcFileSystem() = default;
  void destroy() override { files().memory().destroy(this); }

  const std::uint64_t magic_;
};

Result<Ref<FileSystem>> create(Files& files, std::string_view type, std::uint64_t magic, const ProcSpec& spec) {
  FileMemory& memory = files.memory();
  Ref<ProcFileSystem> system =
      Ref<ProcFileSystem>::adopt(VELLUM_TRY(memory.create<ProcFileSystem>(files, type, magic)));
  Ref<Node> root = Ref<ProcNode>::adopt(VELLUM_TRY(memory.create<ProcNode>(*system, spec, ProcSubject{}, nullptr)));
  system->set_root(VELLUM_TRY(Entry::create(memory, files.naming(), nullptr, "", std::move(root))));
  return Ref<FileSystem>(std::move(system));
}

}  // namespace

Result<Ref<FileSystem>> create_proc(Files& files) { return create(files, "proc", kProcMagic, kRoot); }
Result<Ref<FileSystem>> create_sys(Files& files) { return create(files, "sysfs", kSysMagic, kSysRoot); }

}  // namespace vellum::unix
