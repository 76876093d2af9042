# The build's vocabulary. A layer is one library with one include root; it sees the layers that it names and, through
# them, what those name; nothing else is on its include path, so a forbidden #include does not compile.

set(VELLUM_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
    -Wnon-virtual-dtor -Wimplicit-fallthrough -Wthread-safety -Wthread-safety-beta -Werror)

# Flags of the core and of everything else that must live without a C library.
set(VELLUM_FREESTANDING -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics)

set(VELLUM_HOST_FLAGS "")
if(VELLUM_SANITIZE)
  list(APPEND VELLUM_HOST_FLAGS -fsanitize=${VELLUM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VELLUM_SANITIZE})
endif()

if(VELLUM_MACHINE STREQUAL "hosted")
  set(VELLUM_MACHINE_INCLUDE ${PROJECT_SOURCE_DIR}/machine/hosted/include)
  set(VELLUM_MACHINE_FLAGS ${VELLUM_HOST_FLAGS})
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
  find_package(Threads REQUIRED)
  enable_testing()
elseif(VELLUM_MACHINE STREQUAL "pc")
  set(VELLUM_MACHINE_INCLUDE ${PROJECT_SOURCE_DIR}/machine/pc/include)
  if(VELLUM_ARCH STREQUAL "amd64")
    set(VELLUM_MACHINE_FLAGS -m64 -mcmodel=kernel -mno-red-zone -fno-pic -fno-stack-protector)
  elseif(VELLUM_ARCH STREQUAL "i386")
    # Debian keeps the headers of both widths under the 64-bit triplet.
    set(VELLUM_MACHINE_FLAGS -m32 -march=i686 -msse2 -fno-pic -fno-stack-protector -idirafter /usr/include/x86_64-linux-gnu)
  else()
    message(FATAL_ERROR "VELLUM_ARCH must be amd64 or i386, not '${VELLUM_ARCH}'")
  endif()
else()
  message(FATAL_ERROR "VELLUM_MACHINE must be hosted or pc, not '${VELLUM_MACHINE}'")
endif()

function(vellum_common target)
  target_compile_options(${target} PRIVATE ${VELLUM_WARNINGS} ${VELLUM_MACHINE_FLAGS})
  target_compile_definitions(${target} PRIVATE VELLUM_DEBUG=$<BOOL:${VELLUM_DEBUG}>)
endfunction()

# vellum_layer(NAME [SOURCES ...] [DEPENDS LAYER...]): a layer of the core, in the current folder; its public headers
# are below include/. The library is core_NAME.
function(vellum_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(core_${name} STATIC ${LAYER_SOURCES})
  vellum_common(core_${name})
  target_compile_options(core_${name} PRIVATE ${VELLUM_FREESTANDING})
  target_include_directories(core_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
  foreach(dependency IN LISTS LAYER_DEPENDS)
    target_link_libraries(core_${name} PUBLIC core_${dependency})
  endforeach()
endfunction()

# vellum_test(NAME SOURCES ... DEPENDS TARGET...): a GoogleTest program of a hosted build, run by ctest.
function(vellum_test name)
  if(NOT VELLUM_MACHINE STREQUAL "hosted")
    return()
  endif()
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  vellum_common(${name})
  target_link_libraries(${name} PRIVATE ${TEST_DEPENDS} vellum_test_support GTest::gtest GTest::gtest_main Threads::Threads)
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT})
endfunction()

# vellum_fuzzer(NAME SOURCES ... DEPENDS TARGET...): a stateful fuzzer. The sources define
#   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t);
# With VELLUM_FUZZERS it is linked with libFuzzer (coverage guided); in every hosted build also as NAME_random, a driver
# that feeds seeded random programs at full speed: NAME_random --operations N --seed S.
function(vellum_fuzzer name)
  if(NOT VELLUM_MACHINE STREQUAL "hosted")
    return()
  endif()
  cmake_parse_arguments(FUZZ "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name}_random ${FUZZ_SOURCES} ${PROJECT_SOURCE_DIR}/fuzz/random_driver.cpp)
  vellum_common(${name}_random)
  target_link_libraries(${name}_random PRIVATE ${FUZZ_DEPENDS} Threads::Threads)
  if(VELLUM_FUZZERS)
    add_executable(${name} ${FUZZ_SOURCES})
    vellum_common(${name})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE ${FUZZ_DEPENDS} Threads::Threads)
  endif()
endfunction()

# vellum_bench(NAME SOURCES ... DEPENDS TARGET...): a google-benchmark program.
function(vellum_bench name)
  if(NOT VELLUM_MACHINE STREQUAL "hosted")
    return()
  endif()
  cmake_parse_arguments(BENCH "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${BENCH_SOURCES})
  vellum_common(${name})
  target_link_libraries(${name} PRIVATE ${BENCH_DEPENDS} benchmark::benchmark benchmark::benchmark_main Threads::Threads)
endfunction()
