// Kernel stacks for threads: see <vellum/unix/processor.hpp>.
#include <vellum/unix/processor.hpp>

#include "regions.hpp"

namespace vellum::unix {

Result<VirtRange> allocate_kernel_stack() { return kernel::regions().kernel_stacks.allocate(); }

void free_kernel_stack(VirtRange stack) { kernel::regions().kernel_stacks.free(stack); }

}  // namespace vellum::unix
