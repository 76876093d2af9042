// Running programs: arguments, what is kept, scripts, and files that are no programs.
#include <elf.h>
#include <sys/syscall.h>

#include <vector>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr const char* kSelf = "/proc/self/exe";

struct Outcome {
  int status = 0;  // of wait
  std::string output;
};

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) {
    all.push_back(word.data());
  }
  all.push_back(nullptr);
  return all;
}

// Exit status of a child whose exec failed: this and errno.
constexpr int kExecFailed = 100;

template <class Prepare>
Outcome run(const std::string& path, std::vector<std::string> arguments, std::vector<std::string> environment,
            Prepare prepare) {
  int ends[2];
  MUST(pipe(ends));
  const pid_t child = start_child([&] {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    prepare();
    execve(path.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
    return kExecFailed + errno;
  });
  close(ends[1]);
  Outcome outcome;
  outcome.output = read_rest(ends[0]);
  close(ends[0]);
  outcome.status = status_of(child);
  return outcome;
}

Outcome run(const std::string& path, std::vector<std::string> arguments,
            std::vector<std::string> environment = {"SUITE_ROLE=show"}) {
  return run(path, std::move(arguments), std::move(environment), [] {});
}

// 0 where a program ran; else the error of exec.
int error_of(const std::string& path) {
  const int status = run(path, {"x"}, {"SUITE_ROLE=exit"}).status;
  EXPECT(WIFEXITED(status));
  return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) - kExecFailed;
}

std::string lines_of(const std::string& output, const std::string& kind) {
  std::string found;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = output.find('\n', at);
    if (output.compare(at, kind.size(), kind) == 0) {
      found += output.substr(at + kind.size(), end - at - kind.size()) + "|";
    }
    at = end + 1;
  }
  return found;
}

CASE("exec", "gives arguments and environment") {
  const Outcome outcome = run(kSelf, {"name", "one", "", "two words"}, {"SUITE_ROLE=show", "A=", "B=c=d", "odd"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(lines_of(outcome.output, "argument:"), std::string("name|one||two words|"));
  EXPECT_EQ(lines_of(outcome.output, "environment:"), std::string("SUITE_ROLE=show|A=|B=c=d|odd|"));
  EXPECT_EQ(lines_of(outcome.output, "name:"), std::string(kSelf) + "|");
}

CASE("exec", "many and long arguments") {
  std::vector<std::string> arguments;
  std::string wanted;
  for (int i = 0; i < 500; i++) {
    arguments.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i), 'x'));
    wanted += arguments.back() + "|";
  }
  arguments.emplace_back(100'000, 'y');
  wanted += arguments.back() + "|";
  const Outcome outcome = run(kSelf, arguments);
  EXPECT_EQ(outcome.status, 0);
  EXPECT(lines_of(outcome.output, "argument:") == wanted);
}

CASE("exec", "an argument that is too long is E2BIG") {
  const Outcome outcome = run(kSelf, {"name", std::string(131072, 'x')});
  EXPECT_EQ(WEXITSTATUS(outcome.status), kExecFailed + E2BIG);
}

CASE("exec", "arguments that are too many are E2BIG") {
  const Outcome outcome = run(kSelf, std::vector<std::string>(80, std::string(100'000, 'x')));
  EXPECT_EQ(WEXITSTATUS(outcome.status), kExecFailed + E2BIG);
}

CASE("exec", "without arguments there is one, which is empty") {
  const Outcome outcome = run(kSelf, {});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(lines_of(outcome.output, "argument:"), std::string("|"));
}

CASE("exec", "bad pointers are EFAULT, and the caller goes on") {
  EXPECT_ERRNO(syscall(SYS_execve, 8, nullptr, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_execve, kSelf, 8, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_execve, kSelf, nullptr, 0xFFFF'FFFF'FB80'0000), EFAULT);
  const std::uintptr_t words[] = {0x0000'8000'0000'0000, 0};
  EXPECT_ERRNO(syscall(SYS_execve, kSelf, words, nullptr), EFAULT);
}

CASE("exec", "keeps pid, mask, ignored and pending signals; resets handlers and signal stack; closes what it should") {
  const Outcome outcome = run(kSelf, {"x"}, {"SUITE_ROLE=show"}, [] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    kill(getpid(), SIGHUP);
    std::signal(SIGUSR1, [](int) {});
    std::signal(SIGUSR2, SIG_IGN);
    static char stack_bytes[65536];
    stack_t stack = {};
    stack.ss_sp = stack_bytes;
    stack.ss_size = sizeof stack_bytes;
    sigaltstack(&stack, nullptr);
    dup2(1, 40);
    dup3(1, 41, O_CLOEXEC);
    dup2(1, 42);
    fcntl(42, F_SETFD, FD_CLOEXEC);
    dup2(1, 43);
  });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(lines_of(outcome.output, "state:"),
            std::string("vector 1 blocked 1 pending 1 handler 0 ignored 1 stack 0 files 40 43|"));
}

CASE("exec", "of a child that vfork made") {
  const pid_t child = vfork();
  if (child == 0) {
    char name[] = "x";
    char role[] = "SUITE_ROLE=exit";
    char status[] = "SUITE_STATUS=23";
    char* arguments[] = {name, nullptr};
    char* environment[] = {role, status, nullptr};
    execve(kSelf, arguments, environment);
    _exit(99);
  }
  EXPECT_EQ(WEXITSTATUS(status_of(child)), 23);
}

CASE("exec", "a hundred, one after the other") {
  for (int i = 0; i < 100; i++) {
    EXPECT_EQ(run(kSelf, {"x"}, {"SUITE_ROLE=exit"}).status, 0);
  }
}

CASE("exec", "private memory is gone, a shared file is not") {
  const Folder folder;
  const int file = folder.file("file", "text");
  run(kSelf, {"x"}, {"SUITE_ROLE=exit"}, [file] { poke(map(kPage, kReadWrite, MAP_SHARED, file), 'T'); });
  EXPECT_EQ(read_file(folder.path("file")), std::string("Text"));
}

// --- scripts

std::string own_path() {
  char path[4096] = {};
  EXPECT(readlink(kSelf, path, sizeof path - 1) > 0);
  return path;
}

CASE("scripts", "the interpreter gets the script's path and the arguments") {
  const Folder folder;
  write_file(folder.path("script"), "#!" + own_path() + "\nrubbish\n", 0755);
  const Outcome outcome = run(folder.path("script"), {"zero", "one", "two"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(lines_of(outcome.output, "argument:"), own_path() + "|" + folder.path("script") + "|one|two|");
}

CASE("scripts", "one argument of the interpreter's line, with its spaces") {
  const Folder folder;
  write_file(folder.path("script"), "#! \t" + own_path() + "  -a b  c \nrubbish\n", 0755);
  const Outcome outcome = run(folder.path("script"), {"zero", "one"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(lines_of(outcome.output, "argument:"), own_path() + "|-a b  c|" + folder.path("script") + "|one|");
}

CASE("scripts", "run by scripts, and too deep") {
  const Folder folder;
  write_file(folder.path("1"), "#!" + own_path() + "\n", 0755);
  for (int i = 2; i <= 7; i++) {
    write_file(folder.path(std::to_string(i)), "#!" + folder.path(std::to_string(i - 1)) + "\n", 0755);
  }
  const Outcome outcome = run(folder.path("3"), {"zero", "one"});
  EXPECT_EQ(lines_of(outcome.output, "argument:"),
            own_path() + "|" + folder.path("1") + "|" + folder.path("2") + "|" + folder.path("3") + "|one|");
  EXPECT_EQ(error_of(folder.path("7")), ELOOP);
}

CASE("scripts", "an interpreter that is not there, or none at all") {
  const Folder folder;
  write_file(folder.path("a"), "#!/nowhere/at/all\n", 0755);
  EXPECT_EQ(error_of(folder.path("a")), ENOENT);
  write_file(folder.path("b"), "#!\n", 0755);
  EXPECT_EQ(error_of(folder.path("b")), ENOEXEC);
  write_file(folder.path("c"), "#!   \n", 0755);
  EXPECT_EQ(error_of(folder.path("c")), ENOEXEC);
  write_file(folder.path("d"), "#!" + own_path(), 0755);  // no line's end
  EXPECT_EQ(error_of(folder.path("d")), 0);
}

// --- no programs

CASE("exec errors", "what is not there, not permitted, no file, no program") {
  const Folder folder;
  write_file(folder.path("text"), "just text\n", 0755);
  write_file(folder.path("forbidden"), "#!/bin/sh\n", 0644);
  write_file(folder.path("empty"), "", 0755);
  write_file(folder.path("short"),
             "\x7F"
             "ELF",
             0755);
  EXPECT_EQ(error_of(folder.path("none")), ENOENT);
  EXPECT_EQ(error_of(folder.path("text/x")), ENOTDIR);
  EXPECT_EQ(error_of(folder.path("text")), ENOEXEC);
  EXPECT_EQ(error_of(folder.path("empty")), ENOEXEC);
  EXPECT_EQ(error_of(folder.path("short")), ENOEXEC);
  EXPECT_EQ(error_of(folder.path("forbidden")), EACCES);
  EXPECT_EQ(error_of(folder.path()), EACCES);
  EXPECT_EQ(error_of("/dev/null"), EACCES);
  EXPECT_EQ(error_of(""), ENOENT);
}

// The smallest program: exit(0).
struct [[gnu::packed]] Tiny {
  static constexpr std::uint64_t kBase = 0x400000;
  Elf64_Ehdr header = {};
  Elf64_Phdr segment = {};
  unsigned char code[9] = {0xB8, 60, 0, 0, 0, 0x31, 0xFF, 0x0F, 0x05};  // mov $60, %eax; xor %edi, %edi; syscall

  Tiny() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_entry = kBase + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_ehsize = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    segment.p_type = PT_LOAD;
    segment.p_flags = PF_R | PF_X;
    segment.p_vaddr = kBase;
    segment.p_filesz = sizeof(Tiny);
    segment.p_memsz = sizeof(Tiny);
    segment.p_align = 4096;
  }
  [[nodiscard]] std::string text() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
};

// The error of exec, or 0, or minus the signal.
int outcome_of(const Folder& folder, const std::string& text) {
  write_file(folder.path("program"), text, 0755);
  const int status = run(folder.path("program"), {"x"}, {}).status;
  unlink(folder.path("program").c_str());
  if (WIFSIGNALED(status)) {
    return -WTERMSIG(status);
  }
  return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) - kExecFailed;
}

CASE("broken programs", "a tiny one runs") {
  const Folder folder;
  EXPECT_EQ(outcome_of(folder, Tiny().text()), 0);
}

CASE("broken programs", "wrong class, machine, type, header sizes") {
  const Folder folder;
  Tiny tiny;
  tiny.header.e_machine = EM_AARCH64;
  EXPECT_EQ(outcome_of(folder, tiny.text()), ENOEXEC);
  tiny = Tiny();
  tiny.header.e_type = ET_REL;
  EXPECT_EQ(outcome_of(folder, tiny.text()), ENOEXEC);
  tiny = Tiny();
  tiny.header.e_phentsize = 1;
  EXPECT_EQ(outcome_of(folder, tiny.text()), ENOEXEC);
  tiny = Tiny();
  tiny.header.e_phnum = 0;
  EXPECT_EQ(outcome_of(folder, tiny.text()), ENOEXEC);
  tiny = Tiny();
  tiny.header.e_ident[EI_MAG1] = 'X';
  EXPECT_EQ(outcome_of(folder, tiny.text()), ENOEXEC);
}

CASE("broken programs", "segments beyond the file, the address space, and each other") {
  const Folder folder;
  const auto fails = [&folder](void (*change)(Tiny&)) {
    Tiny tiny;
    change(tiny);
    return outcome_of(folder, tiny.text()) != 0;
  };
  EXPECT(fails([](Tiny& t) { t.header.e_phoff = 1 << 20; }));
  EXPECT(fails([](Tiny& t) { t.header.e_phoff = ~std::uint64_t{0} - 16; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_vaddr = 0x0000'8000'0000'0000; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_vaddr = 0xFFFF'FFFF'FB80'0000; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_memsz = ~std::uint64_t{0}; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_memsz = std::uint64_t{1} << 47; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_filesz = std::uint64_t{1} << 47; }));
  EXPECT(fails([](Tiny& t) { t.segment.p_memsz = 10; }));  // less than in the file
  EXPECT(fails([](Tiny& t) { t.segment.p_offset = 1; }));  // not congruent
  EXPECT(fails([](Tiny& t) { t.header.e_entry = 0x0000'8000'0000'0000; }));
  EXPECT(fails([](Tiny& t) { t.header.e_entry = 0xFFFF'FFFF'FB80'0000; }));
  EXPECT(fails([](Tiny& t) { t.header.e_entry = 0; }));
}

CASE("broken programs", "random changes end in an error, a signal or an end") {
  const Folder folder;
  unsigned seed = 1;
  const auto random = [&seed](unsigned below) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
  };
  for (int round = 0; round < 100; round++) {
    std::string text = Tiny().text();
    for (unsigned i = 0, changes = 1 + random(4); i < changes; i++) {
      text[random(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr))] = static_cast<char>(random(256));
    }
    if (random(8) == 0) {
      text.resize(random(static_cast<unsigned>(text.size())));
    }
    write_file(folder.path("program"), text, 0755);
    const pid_t child = start_child([&] {
      alarm(5);
      execl(folder.path("program").c_str(), "x", nullptr);
      return 1;
    });
    status_of(child);
  }
}

}  // namespace
}  // namespace guest
