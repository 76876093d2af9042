#include "test/world.hpp"

#include <set>

#include <gtest/gtest.h>

namespace vellum::unix {
namespace {

using test::caller;
using test::World;

class Resolve : public ::testing::Test {
 protected:
  Resolve() {
    must(world.make_directory("/a"));
    must(world.make_directory("/a/b"));
    world.write("/a/b/file", "text");
  }
  static void must(const Result<void>& result) { VELLUM_CHECK(result.ok()); }
  [[nodiscard]] Errno error(std::string_view path, LastSymlink last = LastSymlink::follow) {
    const Result<Path> found = world.find(path, last);
    return found.ok() ? Errno{} : found.error();
  }
  [[nodiscard]] std::string place(std::string_view path) { return world.path_of(world.find(path).value()); }
  void become(std::uint32_t user) {
    caller().user = UserId(user);
    caller().group = GroupId(user);
  }

  World world;
};

TEST_F(Resolve, FollowsNamesDotsAndSlashes) {
  EXPECT_EQ(place("/a/b/file"), "/a/b/file");
  EXPECT_EQ(place("//a/./b/../b//file"), "/a/b/file");
  EXPECT_EQ(place("/../.."), "/");
  EXPECT_EQ(place("/a/b/"), "/a/b");
  caller().context.paths->set_current(world.find("/a").value());
  EXPECT_EQ(place("b/file"), "/a/b/file");
  EXPECT_EQ(place(".."), "/");
}

TEST_F(Resolve, GivesLinuxsErrors) {
  EXPECT_EQ(error(""), Errno::no_entry);
  EXPECT_EQ(error("/a/none"), Errno::no_entry);
  EXPECT_EQ(error("/a/none/x"), Errno::no_entry);
  EXPECT_EQ(error("/a/b/file/"), Errno::not_directory);
  EXPECT_EQ(error("/a/b/file/x"), Errno::not_directory);
  EXPECT_EQ(error("/a/b/file/.."), Errno::not_directory);
  EXPECT_EQ(error(std::string(256, 'x')), Errno::name_too_long);
  EXPECT_EQ(error(std::string(255, 'x')), Errno::no_entry);
  EXPECT_EQ(error(std::string(4096, '/')), Errno::name_too_long);
  EXPECT_EQ(error(std::string(4095, '/')), Errno{});
}

TEST_F(Resolve, FollowsSymlinks) {
  must(world.make_symlink("/l", "a/b"));
  must(world.make_symlink("/a/up", "../l/file"));
  must(world.make_symlink("/slash", "/a/b/file/"));
  EXPECT_EQ(place("/l/file"), "/a/b/file");
  EXPECT_EQ(place("/a/up"), "/a/b/file");
  EXPECT_EQ(error("/slash"), Errno::not_directory);
  EXPECT_EQ(world.find("/l", LastSymlink::keep).value().node().kind(), NodeKind::symlink);
  EXPECT_EQ(world.find("/l/", LastSymlink::keep).value().node().kind(), NodeKind::directory);
  EXPECT_EQ(place("/l/.."), "/a");
}

TEST_F(Resolve, StopsAtLoopsAndAfterFortySymlinks) {
  must(world.make_symlink("/x", "y"));
  must(world.make_symlink("/y", "x"));
  EXPECT_EQ(error("/x"), Errno::link_loop);
  must(world.make_symlink("/l0", "a"));
  for (int i = 1; i <= 40; ++i) {
    must(world.make_symlink("/l" + std::to_string(i), "l" + std::to_string(i - 1)));
  }
  EXPECT_EQ(place("/l39"), "/a");
  EXPECT_EQ(error("/l40"), Errno::link_loop);
}

TEST_F(Resolve, ChecksPermissions) {
  must(world.make_directory("/secret", 0700));
  world.write("/secret/file", "x");
  become(1000);
  EXPECT_EQ(error("/secret"), Errno{});
  EXPECT_EQ(error("/secret/file"), Errno::access_denied);
  EXPECT_EQ(world.open("/secret", open_flag::kReadOnly).error(), Errno::access_denied);
  EXPECT_EQ(world.open("/a/b/file", open_flag::kWriteOnly).error(), Errno::access_denied);
  EXPECT_EQ(world.open("/a/new", open_flag::kWriteOnly | open_flag::kCreate).error(), Errno::access_denied);
  EXPECT_EQ(world.make_directory("/a/new").error(), Errno::access_denied);
  EXPECT_EQ(world.remove("/a/b/file").error(), Errno::access_denied);
}

TEST_F(Resolve, UsesTheBitsOfTheOwnerOrOfTheGroupOrOfOthers) {
  world.write("/mine", "x");
  must(world.find("/mine").value().node().change(
      {.permissions = std::uint16_t{0246}, .owner = UserId(1000), .group = GroupId(2000)}));
  become(1000);
  EXPECT_EQ(world.open("/mine", open_flag::kReadOnly).error(), Errno::access_denied);
  EXPECT_TRUE(world.open("/mine", open_flag::kWriteOnly).ok());
  become(1001);
  caller().groups = {GroupId(2000)};
  EXPECT_TRUE(world.open("/mine", open_flag::kReadOnly).ok());
  EXPECT_EQ(world.open("/mine", open_flag::kReadWrite).error(), Errno::access_denied);
  caller().groups = {};
  EXPECT_TRUE(world.open("/mine", open_flag::kReadWrite).ok());
}

TEST_F(Resolve, InAStickyDirectoryOnlyOwnersRemove) {
  must(world.make_directory("/tmp", 0777));
  must(world.find("/tmp").value().node().change({.permissions = std::uint16_t{01777}}));
  world.write("/tmp/roots", "x");
  become(1000);
  world.write("/tmp/mine", "x");
  EXPECT_EQ(world.remove("/tmp/roots").error(), Errno::not_permitted);
  EXPECT_EQ(world.rename("/tmp/roots", "/tmp/other").error(), Errno::not_permitted);
  EXPECT_TRUE(world.remove("/tmp/mine").ok());
}

TEST_F(Resolve, OpensAsAsked) {
  namespace flag = open_flag;
  EXPECT_EQ(world.open("/a/b/file", flag::kWriteOnly | flag::kCreate | flag::kExclusive).error(), Errno::exists);
  EXPECT_EQ(world.open("/a/b/file", flag::kReadOnly | flag::kDirectory).error(), Errno::not_directory);
  EXPECT_EQ(world.open("/a", flag::kReadWrite).error(), Errno::is_directory);
  EXPECT_EQ(world.open("/a/", flag::kWriteOnly | flag::kCreate).error(), Errno::is_directory);
  EXPECT_EQ(world.open("/a/x/", flag::kWriteOnly | flag::kCreate).error(), Errno::is_directory);
  must(world.make_symlink("/l", "/a/b/made"));
  EXPECT_EQ(world.open("/l", flag::kReadOnly | flag::kNoFollow).error(), Errno::link_loop);
  EXPECT_EQ(world.open("/l", flag::kReadOnly).error(), Errno::no_entry);
  EXPECT_EQ(world.open("/l", flag::kWriteOnly | flag::kCreate | flag::kExclusive).error(), Errno::exists);
  EXPECT_TRUE(world.open("/l", flag::kWriteOnly | flag::kCreate).ok());
  EXPECT_EQ(place("/a/b/made"), "/a/b/made");
  const Ref<OpenFile> named = world.open("/l", flag::kPath | flag::kNoFollow).value();
  EXPECT_EQ(named->node().kind(), NodeKind::symlink);
  EXPECT_TRUE(world.open("/a/b/file", flag::kReadWrite | flag::kTruncate).ok());
  EXPECT_EQ(world.read("/a/b/file"), "");
}

TEST_F(Resolve, TakesTheUmaskOff) {
  const OpenRequest request = {.flags = open_flag::kWriteOnly | open_flag::kCreate, .permissions = 0666, .umask = 027};
  EXPECT_TRUE(open_path(world.files(), world.from(), "/masked", request).ok());
  EXPECT_EQ(world.attributes("/masked").permissions, 0640);
}

TEST_F(Resolve, SetGroupIdDirectoriesLendTheirGroup) {
  must(world.make_directory("/g"));
  must(world.find("/g").value().node().change({.permissions = std::uint16_t{02777}, .group = GroupId(50)}));
  become(1000);
  world.write("/g/file", "x");
  must(world.make_directory("/g/below"));
  EXPECT_EQ(world.attributes("/g/file").group, GroupId(50));
  EXPECT_EQ(world.attributes("/g/below").permissions & kSetGroupId, kSetGroupId);
}

// --- names

TEST_F(Resolve, LinksCountAndShare) {
  must(world.link("/a/b/file", "/a/second"));
  EXPECT_EQ(world.attributes("/a/second").links, 2U);
  EXPECT_EQ(world.attributes("/a/second").inode, world.attributes("/a/b/file").inode);
  must(world.remove("/a/b/file"));
  EXPECT_EQ(world.read("/a/second"), "text");
  EXPECT_EQ(world.attributes("/a/second").links, 1U);
  EXPECT_EQ(world.link("/a", "/c").error(), Errno::not_permitted);
  EXPECT_EQ(world.link("/a/second", "/a").error(), Errno::exists);
}

TEST_F(Resolve, DirectoriesCountTheirChildren) {
  EXPECT_EQ(world.attributes("/a").links, 3U);
  must(world.make_directory("/a/c"));
  EXPECT_EQ(world.attributes("/a").links, 4U);
  must(world.rename("/a/c", "/c"));
  EXPECT_EQ(world.attributes("/a").links, 3U);
  must(world.remove("/c", NodeKind::directory));
}

TEST_F(Resolve, RemovesOnlyWhatIsAskedFor) {
  EXPECT_EQ(world.remove("/a").error(), Errno::is_directory);
  EXPECT_EQ(world.remove("/a/b/file", NodeKind::directory).error(), Errno::not_directory);
  EXPECT_EQ(world.remove("/a", NodeKind::directory).error(), Errno::not_empty);
  EXPECT_EQ(world.remove("/a/b/.", NodeKind::directory).error(), Errno::invalid);
  EXPECT_EQ(world.remove("/a/b/..", NodeKind::directory).error(), Errno::not_empty);
  EXPECT_EQ(world.remove("/", NodeKind::directory).error(), Errno::busy);
  EXPECT_EQ(world.remove("/a/b/file/").error(), Errno::not_directory);
}

TEST_F(Resolve, ARemovedDirectoryTakesNothingMore) {
  must(world.make_directory("/gone"));
  const Path gone = world.find("/gone").value();
  must(world.remove("/gone", NodeKind::directory));
  caller().context.paths->set_current(gone);
  EXPECT_EQ(world.open("file", open_flag::kWriteOnly | open_flag::kCreate).error(), Errno::no_entry);
  EXPECT_EQ(error(".."), Errno{});
  EXPECT_EQ(world.path_of(gone), "/gone (deleted)");
}

TEST_F(Resolve, RenamesAndReplaces) {
  world.write("/other", "other");
  must(world.rename("/a/b/file", "/other"));
  EXPECT_EQ(world.read("/other"), "text");
  EXPECT_EQ(error("/a/b/file"), Errno::no_entry);
  must(world.rename("/a/b", "/b"));
  EXPECT_EQ(place("/b"), "/b");
  EXPECT_EQ(world.rename("/a", "/a/x").error(), Errno::invalid);
  EXPECT_EQ(world.rename("/other", "/a").error(), Errno::is_directory);
  EXPECT_EQ(world.rename("/a", "/other").error(), Errno::not_directory);
  must(world.make_directory("/b/full"));
  EXPECT_EQ(world.rename("/a", "/b").error(), Errno::not_empty);
  EXPECT_EQ(world.rename("/b/full", "/b").error(), Errno::not_empty);
  must(world.rename("/a", "/b/full"));
  EXPECT_EQ(place("/b/full"), "/b/full");
}

TEST_F(Resolve, RenamesWithFlags) {
  constexpr std::uint32_t kNoReplace = 1;
  constexpr std::uint32_t kExchange = 2;
  world.write("/other", "other");
  EXPECT_EQ(world.rename("/other", "/a/b/file", kNoReplace).error(), Errno::exists);
  EXPECT_EQ(world.rename("/other", "/none", kExchange).error(), Errno::no_entry);
  must(world.rename("/other", "/a/b", kExchange));
  EXPECT_EQ(world.read("/a/b"), "other");
  EXPECT_EQ(world.read("/other/file"), "text");
}

TEST_F(Resolve, AnOpenFileKnowsItsNewName) {
  const Ref<OpenFile> file = world.open("/a/b/file", open_flag::kReadOnly).value();
  must(world.rename("/a", "/z"));
  EXPECT_EQ(world.path_of(file->path()), "/z/b/file");
}

TEST_F(Resolve, ListsEverythingOnceThoughNamesGoMeanwhile) {
  must(world.make_directory("/many"));
  for (int i = 0; i < 100; ++i) {
    world.write("/many/" + std::to_string(i), "");
  }
  const std::vector<std::string> names = world.list("/many", 7);
  EXPECT_EQ(names.size(), 102U);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 102U);
  EXPECT_EQ(names[0], ".");
  EXPECT_EQ(names[1], "..");
  for (int i = 0; i < 100; i += 2) {
    must(world.remove("/many/" + std::to_string(i)));
  }
  EXPECT_EQ(world.list("/many", 7).size(), 52U);
}

// --- mounts

TEST_F(Resolve, MountsCoverAndUncover) {
  must(world.files().mount(world.find("/a").value(), {.type = "tmpfs", .source = "t"}));
  EXPECT_EQ(error("/a/b"), Errno::no_entry);
  world.write("/a/inside", "in");
  EXPECT_EQ(place("/a/inside"), "/a/inside");
  EXPECT_EQ(place("/a/.."), "/");
  EXPECT_EQ(world.rename("/a/inside", "/outside").error(), Errno::cross_device);
  EXPECT_EQ(world.link("/a/inside", "/outside").error(), Errno::cross_device);
  EXPECT_EQ(world.remove("/a", NodeKind::directory).error(), Errno::busy);
  {
    const Ref<OpenFile> file = world.open("/a/inside", open_flag::kReadOnly).value();
    EXPECT_EQ(world.files().unmount(world.find("/a").value(), false).error(), Errno::busy);
    must(world.files().unmount(world.find("/a").value(), true));
    EXPECT_EQ(World::get(*file, 0, 10), "in");
  }
  EXPECT_EQ(place("/a/b"), "/a/b");
  EXPECT_EQ(world.files().unmount(world.find("/a").value(), false).error(), Errno::invalid);
}

TEST_F(Resolve, MountsStackAndMove) {
  must(world.files().mount(world.find("/a").value(), {.type = "tmpfs"}));
  must(world.make_directory("/a/below"));
  must(world.files().mount(world.find("/a/below").value(), {.type = "tmpfs"}));
  world.write("/a/below/deep", "deep");
  must(world.make_directory("/new"));
  must(world.files().move_mount(world.find("/a").value(), world.find("/new").value()));
  EXPECT_EQ(world.read("/new/below/deep"), "deep");
  EXPECT_EQ(place("/a/b"), "/a/b");
  EXPECT_EQ(world.files().unmount(world.find("/new").value(), false).error(), Errno::busy);
  must(world.files().unmount(world.find("/new").value(), true));
}

TEST_F(Resolve, AReadOnlyMountTakesNothing) {
  must(world.files().mount(world.find("/a").value(), {.type = "tmpfs"}));
  world.write("/a/file", "x");
  world.find("/a").value().mount->set_flags(mount_flag::kReadOnly);
  EXPECT_EQ(world.open("/a/file", open_flag::kWriteOnly).error(), Errno::read_only);
  EXPECT_EQ(world.open("/a/new", open_flag::kWriteOnly | open_flag::kCreate).error(), Errno::read_only);
  EXPECT_EQ(world.make_directory("/a/new").error(), Errno::read_only);
  EXPECT_EQ(world.remove("/a/file").error(), Errno::read_only);
  EXPECT_EQ(world.read("/a/file"), "x");
}

TEST_F(Resolve, BindShowsAPlaceTwice) {
  must(world.make_directory("/c"));
  must(world.files().bind(world.find("/c").value(), world.find("/a/b").value(), 0));
  EXPECT_EQ(world.read("/c/file"), "text");
  EXPECT_EQ(place("/c/.."), "/");
  world.write("/c/file", "new");
  EXPECT_EQ(world.read("/a/b/file"), "new");
}

TEST_F(Resolve, MountsKnowTheirOptions) {
  const Path point = world.find("/a").value();
  EXPECT_EQ(world.files().mount(point, {.type = "ext4"}).error(), Errno::no_device);
  EXPECT_EQ(world.files().mount(point, {.type = "tmpfs", .options = "nonsense"}).error(), Errno::invalid);
  EXPECT_EQ(world.files().mount(point, {.type = "tmpfs", .options = "mode=9"}).error(), Errno::invalid);
  must(world.files().mount(point, {.type = "tmpfs", .options = "mode=750,uid=3,size=10m"}));
  EXPECT_EQ(world.attributes("/a").permissions, 0750);
  EXPECT_EQ(world.attributes("/a").owner, UserId(3));
}

TEST_F(Resolve, TheRootOfAProcessIsItsTop) {
  caller().context.paths->set_root(world.find("/a").value());
  caller().context.paths->set_current(world.find("/").value());
  EXPECT_EQ(error("/b/file"), Errno{});
  EXPECT_EQ(error("/../../b"), Errno{});
  EXPECT_EQ(error("/a"), Errno::no_entry);
  char bytes[64];
  Files& files = world.files();
  EXPECT_EQ(files.write_path(files.root(), world.from().root, bytes).value(), "(unreachable)/");
}

}  // namespace
}  // namespace vellum::unix
