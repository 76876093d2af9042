#include <vellum/unix/unnamed_device.hpp>

#include "ram_node.hpp"

namespace vellum::unix {

Result<Path> create_unnamed_device(Files& files, std::string_view name) {
  const Attributes attributes = new_attributes(files.next_inode(), {.kind = NodeKind{}, .permissions = 0600});
  Ref<Node> node = Ref<RamDevice>::adopt(VELLUM_TRY(files.memory().create<RamDevice>(files.unnamed(), attributes)));
  return files.create_unnamed(name, std::move(node));
}

}  // namespace vellum::unix
