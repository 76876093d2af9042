#include "kmap.hpp"

#include <vellum/layout/text.hpp>

#include "layout.hpp"
#include "table_walk.hpp"

namespace vellum::kernel {

namespace {

constexpr unsigned kMostStretches = 16;  // that are shown of a region

PhysAddr current_root() { return PhysAddr(pc::read_cr3()).page(); }

// A line that keeps to columns.
class Line {
 public:
  Line() : out_(text_) {}
  Line& to(std::size_t column) {
    do {
      out_.text(" ");
    } while (out_.length() < column);
    return *this;
  }
  TextBuffer& out() { return out_; }
  [[nodiscard]] const char* finish() { return out_.text("\n").c_str(); }

 private:
  char text_[192] = {};
  TextBuffer out_;
};

void write_rights(TextBuffer& out, bool read, bool write, bool execute) {
  out.text(read ? "r" : "-").text(write ? "w" : "-").text(execute ? "x" : "-");
}

const char* page_size(unsigned level) { return level == 1 ? "4K" : level == 2 ? "2M" : "1G"; }

// Neighbouring pages of one kind.
struct Stretch {
  VirtAddr start;
  VirtAddr end;
  EntryRights rights;
  unsigned level = 0;

  [[nodiscard]] bool continues_with(const MappedPage& page) const {
    return level == page.level && end == page.start && rights == page.rights;
  }
};

class RegionWriter {
 public:
  RegionWriter(void (*put)(void*, const char*), void* context) : put_(put), context_(context) {}

  void write(const LayoutRegion& region) {
    ByteCount mapped;
    for_each_mapped_page(current_root(), region.range, [&](const MappedPage& page) { mapped += page.size(); });
    write_head(region, mapped);
    shown_ = 0;
    Stretch stretch;
    for_each_mapped_page(current_root(), region.range, [&](const MappedPage& page) {
      if (stretch.level != 0 && !stretch.continues_with(page)) {
        write_stretch(stretch);
      }
      if (!stretch.continues_with(page)) {
        stretch = {.start = page.start, .end = page.start, .rights = page.rights, .level = page.level};
      }
      stretch.end = page.start + page.size();
    });
    if (stretch.level != 0) {
      write_stretch(stretch);
    }
    if (shown_ > kMostStretches) {
      Line line;
      line.to(2).out().text("and ").decimal(shown_ - kMostStretches).text(" more");
      put_(context_, line.finish());
    }
  }

 private:
  void write_head(const LayoutRegion& region, ByteCount mapped) {
    Line line;
    line.out().address(region.range.start(), Arch::amd64).text("-").address(region.range.last(), Arch::amd64);
    line.out().text(" ");
    const Prot rights = region.row->rights;
    write_rights(line.out(), rights.can_read(), rights.can_write(), rights.can_execute());
    line.to(46).out().size(region.range.size());
    line.to(58).out().size(mapped);
    line.to(70).out().text(region.row->name);
    if (region.row->symbol[0] != '\0') {
      line.out().text(" (").text(region.row->symbol).text(")");
    }
    put_(context_, line.finish());
  }
  void write_stretch(const Stretch& stretch) {
    if (++shown_ > kMostStretches) {
      return;
    }
    Line line;
    line.to(2).out().address(stretch.start, Arch::amd64).text("-").address(stretch.end - ByteCount(1), Arch::amd64);
    line.out().text(" ");
    write_rights(line.out(), true, stretch.rights.write, stretch.rights.execute);
    line.to(58).out().size(stretch.end - stretch.start);
    line.to(70).out().text("pages of ").text(page_size(stretch.level));
    put_(context_, line.finish());
  }

  void (*put_)(void*, const char*);
  void* context_;
  unsigned shown_ = 0;
};

}  // namespace

}  // namespace vellum::kernel

// The entry of the module that this file is (modules.cpp).
extern "C" void vellum_module_write_kmap(void (*put)(void* context, const char* line), void* context);
void vellum_module_write_kmap(void (*put)(void* context, const char* line), void* context) {
  using namespace vellum;
  using namespace vellum::kernel;
  RegionWriter writer(put, context);
  for (const LayoutRegion& region : address_map().regions()) {
    if (region.range.start() >= address_map().landmarks().user_limit) {
      writer.write(region);
    }
  }
}
