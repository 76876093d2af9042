// How changes of ids change capabilities: capabilities(7), "Effect of user ID changes on capabilities" and
// "Capabilities and execution of programs by root".
#include <vellum/unix/credentials.hpp>

namespace vellum::unix {

namespace {

constexpr UserId kSuperuser(0);

}  // namespace

void Credentials::give_capabilities() {
  const bool is_superuser = user.effective == kSuperuser;
  capabilities.permitted = capabilities.effective = is_superuser ? capabilities.bounding : Capabilities::none();
}

void Credentials::adjust_capabilities(const Identities<UserId>& before) {
  if (before.has(kSuperuser) && !user.has(kSuperuser) && !keeps_capabilities) {
    capabilities.permitted = capabilities.effective = Capabilities::none();
  }
  if (before.effective == kSuperuser && user.effective != kSuperuser) {
    capabilities.effective = Capabilities::none();
  }
  if (before.effective != kSuperuser && user.effective == kSuperuser) {
    capabilities.effective = capabilities.permitted;
  }
}

void Credentials::adjust_file_capabilities(UserId before) {
  CapabilitySets& sets = capabilities;
  if (before == kSuperuser && user.file_system != kSuperuser) {
    sets.effective = sets.effective.without(Capabilities::of_files());
  } else if (before != kSuperuser && user.file_system == kSuperuser) {
    sets.effective = sets.effective | (sets.permitted & Capabilities::of_files());
  }
}

void Credentials::exec_capabilities() {
  CapabilitySets& sets = capabilities;
  const bool is_superuser = user.real == kSuperuser || user.effective == kSuperuser;
  sets.permitted = is_superuser ? sets.inheritable | sets.bounding : Capabilities::none();
  sets.effective = user.effective == kSuperuser ? sets.permitted : Capabilities::none();
  keeps_capabilities = false;
}

}  // namespace vellum::unix
