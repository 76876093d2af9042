// Numbers as people write them.
#pragma once

#include <optional>
#include <string_view>

#include <vellum/base/types.hpp>

namespace vellum::tool {

// 4096, 64M, 1G, 2T, 512MiB, 4gb: powers of two, whatever the spelling. Nothing if it is no size or beyond 2^64.
[[nodiscard]] std::optional<ByteCount> parse_size(std::string_view text);

// Hexadecimal: 0x2a, 0xFFFFFFFF.FBC00000, FFFFFFFF.FBC00000, FFFFFFFF_FBC00000. Without 0x only split and with all of 8
// or 16 digits, and behind a dot stand eight, so that no decimal number is mistaken for an address.
[[nodiscard]] std::optional<VirtAddr> parse_address(std::string_view text);

}  // namespace vellum::tool
