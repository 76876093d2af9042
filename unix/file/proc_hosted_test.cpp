#include <algorithm>

#include <gtest/gtest.h>

#include <vellum/unix/standard_devices.hpp>

#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::caller;
using test::World;

class NoPort final : public TerminalPort {
 public:
  std::size_t write(std::span<const std::byte> bytes) override { return bytes.size(); }
  WaitQueue& space_queue() override { return queue_; }
  bool has_space() override { return true; }

 private:
  WaitQueue queue_;
};

class ProcAndDev : public ::testing::Test {
 protected:
  ProcAndDev() {
    VELLUM_CHECK(devices.add_to(world.files()).ok());
    for (const char* const name : {"proc", "dev", "sys"}) {
      const std::string path = std::string("/") + name;
      VELLUM_CHECK(world.make_directory(path).ok());
      const std::string type = std::string(name) == "dev" ? "devtmpfs" : std::string(name) == "sys" ? "sysfs" : name;
      VELLUM_CHECK(world.files().mount(world.find(path).value(), {.type = type, .source = name}).ok());
    }
    VELLUM_CHECK(add_usual_names(world.files(), world.find("/dev").value()).ok());
  }
  [[nodiscard]] bool lists(std::string_view path, std::string_view name) {
    const std::vector<std::string> names = world.list(path, 5);
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  [[nodiscard]] std::string link(std::string_view path) {
    const Text text = world.find(path, LastSymlink::keep).value().node().link_target(world.files().memory()).value();
    return std::string(text.view());
  }

  NoPort port;
  Terminal terminal{port};
  StandardDevices devices{terminal};
  World world;
};

TEST_F(ProcAndDev, ListsProcesses) {
  EXPECT_TRUE(lists("/proc", "7"));
  EXPECT_TRUE(lists("/proc", "9"));
  EXPECT_TRUE(lists("/proc", "self"));
  EXPECT_FALSE(lists("/proc", "8"));
  EXPECT_EQ(link("/proc/self"), "7");
  EXPECT_EQ(link("/proc/thread-self"), "7/task/7");
  EXPECT_TRUE(lists("/proc/7/task", "7"));
  EXPECT_EQ(world.find("/proc/8").error(), Errno::no_entry);
  EXPECT_EQ(world.find("/proc/007").error(), Errno::no_entry);
  EXPECT_EQ(world.read("/proc/self/comm"), "test\n");
  EXPECT_EQ(world.read("/proc/7/task/7/status"), "text\n");
  EXPECT_EQ(world.attributes("/proc/7").owner, UserId(1000));
}

TEST_F(ProcAndDev, ShowsDescriptors) {
  world.write("/file", "text");
  const Ref<OpenFile> file = world.open("/file", open_flag::kReadOnly).value();
  EXPECT_TRUE(caller().context.table->put(5, file, CloseOnExec::yes, 100).ok());
  EXPECT_TRUE(lists("/proc/self/fd", "5"));
  EXPECT_FALSE(lists("/proc/self/fd", "4"));
  EXPECT_EQ(link("/proc/self/fd/5"), "/file");
  EXPECT_EQ(world.read("/dev/fd/5"), "text");
  EXPECT_TRUE(file->seek(3, Whence::start).ok());
  EXPECT_EQ(world.read("/proc/self/fdinfo/5").substr(0, 30), "pos:\t3\nflags:\t02100000\nmnt_id:");
  ASSERT_TRUE(world.remove("/file").ok());
  EXPECT_EQ(link("/proc/self/fd/5"), "/file (deleted)");
  EXPECT_EQ(world.read("/proc/self/fd/5"), "text");
  EXPECT_EQ(link("/proc/self/cwd"), "/");
}

TEST_F(ProcAndDev, GuardsWhatIsOthers) {
  caller().user = UserId(2000);
  caller().process = ProcessId(9);
  EXPECT_EQ(world.open("/proc/7/fd", open_flag::kReadOnly).error(), Errno::access_denied);
  EXPECT_EQ(world.open("/proc/7/environ", open_flag::kReadOnly).error(), Errno::access_denied);
  const Ref<OpenFile> maps = world.open("/proc/7/maps", open_flag::kReadOnly).value();
  EXPECT_EQ(World::get(*maps, 0, 10), "");
  caller().process = ProcessId(7);
}

TEST_F(ProcAndDev, TheSystemsFilesHaveLinuxsFormat) {
  const std::string meminfo = world.read("/proc/meminfo");
  EXPECT_EQ(meminfo.substr(0, 10), "MemTotal: ");
  EXPECT_EQ(meminfo.find("kB\n"), 25U);
  EXPECT_EQ(world.read("/proc/mounts"),
            "rootfs / rootfs rw,relatime 0 0\nproc /proc proc rw,relatime 0 0\n"
            "dev /dev devtmpfs rw,relatime 0 0\nsys /sys sysfs rw,relatime 0 0\n"
            "tmpfs /dev/shm tmpfs rw,relatime 0 0\n");
  EXPECT_EQ(world.read("/proc/loadavg"), "0.00 0.00 0.00 1/2 9\n");
  EXPECT_EQ(world.read("/proc/sys/kernel/ostype"), "Linux\n");
  EXPECT_EQ(world.read("/proc/sys/kernel/random/uuid").size(), 37U);
}

TEST_F(ProcAndDev, SysShowsTheProcessors) {
  EXPECT_TRUE(lists("/sys/devices/system/cpu", "cpu0"));
  EXPECT_FALSE(lists("/sys/devices/system/cpu", "cpu1"));
  EXPECT_EQ(world.find("/sys/devices/system/cpu/cpu1").error(), Errno::no_entry);
  EXPECT_EQ(world.find("/sys/devices/system/cpu/0").error(), Errno::no_entry);
  EXPECT_EQ(world.find("/proc/cpu7").error(), Errno::no_entry);
  EXPECT_EQ(world.read("/sys/devices/system/cpu/online"), "0\n");
  EXPECT_EQ(world.read("/sys/devices/system/cpu/cpu0/topology/core_id"), "0\n");
  EXPECT_EQ(world.read("/sys/devices/system/cpu/cpu0/topology/core_cpus"), "1\n");
  EXPECT_EQ(world.read("/sys/devices/system/node/node0/cpulist"), "0\n");
  EXPECT_EQ(world.read("/proc/cpuinfo").substr(0, 26), "processor\t: 0\nvendor_id\t: ");
  EXPECT_EQ(world.read("/proc/interrupts"), "           CPU0       \nLOC:          0   Local timer interrupts\n");
}

TEST_F(ProcAndDev, ReadsInPiecesFromOneMoment) {
  const Ref<OpenFile> file = world.open("/proc/meminfo", open_flag::kReadOnly).value();
  const std::string whole = World::get(*file, 0, 10000);
  std::string pieces;
  for (std::string piece = World::get(*file, 0, 7); !piece.empty(); piece = World::get(*file, pieces.size(), 7)) {
    pieces += piece;
  }
  EXPECT_EQ(pieces.size(), whole.size());
}

TEST_F(ProcAndDev, CannotBeChanged) {
  EXPECT_EQ(world.make_directory("/proc/x").error(), Errno::not_permitted);
  EXPECT_EQ(world.remove("/proc/meminfo").error(), Errno::not_permitted);
  EXPECT_EQ(world.make_directory("/sys/x").error(), Errno::not_permitted);
}

TEST_F(ProcAndDev, TakesFilesOfOthers) {
  static constinit ProcFile file("kmap", [](TextSink& sink) { sink.text("map\n"); });
  world.files().add_proc_file(file);
  EXPECT_TRUE(lists("/proc", "kmap"));
  EXPECT_EQ(world.read("/proc/kmap"), "map\n");
}

TEST_F(ProcAndDev, TheDevicesDoWhatTheyAreFor) {
  const auto open = [&](std::string_view path) { return world.open(path, open_flag::kReadWrite).value(); };
  EXPECT_EQ(World::get(*open("/dev/null"), 0, 10), "");
  EXPECT_EQ(World::put(*open("/dev/null"), 0, "gone"), 4U);
  EXPECT_EQ(World::get(*open("/dev/zero"), 0, 5000), std::string(5000, '\0'));
  EXPECT_EQ(World::put(*open("/dev/full"), 0, "x"), 0U);
  EXPECT_EQ(World::get(*open("/dev/urandom"), 0, 1000).size(), 1000U);
  EXPECT_FALSE(open("/dev/zero")->mapping().value().object);
  EXPECT_EQ(open("/dev/null")->mapping().error(), Errno::no_device);
  EXPECT_EQ(world.attributes("/dev/null").device, (DeviceNumber{.major = 1, .minor = 3}));
  EXPECT_EQ(world.open("/dev/tty", open_flag::kReadWrite).error(), Errno::no_such_device);
  EXPECT_TRUE(world.open("/dev/console", open_flag::kReadWrite).ok());
  EXPECT_TRUE(world.open("/dev/tty", open_flag::kReadWrite).ok());
  world.write("/dev/shm/x", "shared");
  EXPECT_EQ(world.read("/dev/shm/x"), "shared");
}

TEST_F(ProcAndDev, ADeviceNodeMayBeAnywhere) {
  const NewNode what = {.kind = NodeKind::character_device, .permissions = 0666, .device = {.major = 1, .minor = 5}};
  ASSERT_TRUE(make_node(world.files(), world.from(), "/zero", what).ok());
  EXPECT_EQ(World::get(*world.open("/zero", open_flag::kReadOnly).value(), 0, 3), std::string(3, '\0'));
  const NewNode none = {.kind = NodeKind::character_device, .permissions = 0666, .device = {.major = 99, .minor = 5}};
  ASSERT_TRUE(make_node(world.files(), world.from(), "/none", none).ok());
  EXPECT_EQ(world.open("/none", open_flag::kReadOnly).error(), Errno::no_such_device);
}

}  // namespace
}  // namespace vellum::unix
