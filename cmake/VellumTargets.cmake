# The build's vocabulary. A layer is one library with one include root; it sees the layers that it names and, through
# them, what those name; nothing else is on its include path, so a forbidden #include does not compile.

set(VELLUM_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wcast-qual
    -Wnon-virtual-dtor -Wimplicit-fallthrough -Wthread-safety -Wthread-safety-beta -Werror)

# Flags of the core and of everything else that must live without a C library.
set(VELLUM_FREESTANDING -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics)

set(VELLUM_HOST_FLAGS "")
if(VELLUM_SANITIZE)
  # vptr needs RTTI, which classes that the core defines do not have.
  list(APPEND VELLUM_HOST_FLAGS -fsanitize=${VELLUM_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all
       -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VELLUM_SANITIZE})
endif()

if(VELLUM_MACHINE STREQUAL "hosted")
  set(VELLUM_MACHINE_INCLUDE ${PROJECT_SOURCE_DIR}/machine/hosted/include)
  set(VELLUM_MACHINE_FLAGS ${VELLUM_HOST_FLAGS})
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
  find_package(Threads REQUIRED)
elseif(VELLUM_MACHINE STREQUAL "pc")
  set(VELLUM_MACHINE_INCLUDE ${PROJECT_SOURCE_DIR}/machine/pc/include ${PROJECT_SOURCE_DIR}/machine/pc/${VELLUM_ARCH}/include)
  # No floating-point, MMX or SSE register is touched: they hold what the interrupted program left in them.
  set(VELLUM_MACHINE_FLAGS -mno-mmx -mno-sse -mno-implicit-float -fno-pic -fno-stack-protector -fno-omit-frame-pointer
      -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
  if(VELLUM_ARCH STREQUAL "amd64")
    list(APPEND VELLUM_MACHINE_FLAGS -m64 -mcmodel=kernel -mno-red-zone)
  elseif(VELLUM_ARCH STREQUAL "i386")
    # Debian keeps the headers of both widths under the 64-bit triplet.
    list(APPEND VELLUM_MACHINE_FLAGS -m32 -march=i686 -idirafter /usr/include/x86_64-linux-gnu)
  else()
    message(FATAL_ERROR "VELLUM_ARCH must be amd64 or i386, not '${VELLUM_ARCH}'")
  endif()
else()
  message(FATAL_ERROR "VELLUM_MACHINE must be hosted or pc, not '${VELLUM_MACHINE}'")
endif()

enable_testing()
include(VellumLayers)

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
  vellum_layer_alone(${name} ${ARGN})
endfunction()

# vellum_test(NAME SOURCES ... DEPENDS TARGET...): a GoogleTest program of a hosted build, run by ctest.
function(vellum_test name)
  if(NOT VELLUM_MACHINE STREQUAL "hosted")
    return()
  endif()
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  vellum_common(${name})
  if(VELLUM_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)  # most of a build's time is GoogleTest's macros, optimised
  endif()
  target_link_libraries(${name} PRIVATE ${TEST_DEPENDS} vellum_test_support GTest::gtest GTest::gtest_main Threads::Threads)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  # The file tells test/run.py how many cases the program has and which failed.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT}
                       ENVIRONMENT GTEST_OUTPUT=xml:${PROJECT_BINARY_DIR}/results/${name}.xml)
endfunction()

# vellum_fuzzer(NAME SOURCES ... DEPENDS TARGET...): a stateful fuzzer. The sources define
#   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t);
# With VELLUM_FUZZERS it is linked with libFuzzer (coverage guided) and nothing else is; without, as NAME_random, a
# driver that feeds seeded random programs at full speed: NAME_random --operations N --seed S. A short run of that is a
# test.
function(vellum_fuzzer name)
  if(NOT VELLUM_MACHINE STREQUAL "hosted" OR VELLUM_SANITIZE STREQUAL "thread")
    return()  # a fuzzer has one thread, so a thread sanitizer has nothing to say of it
  endif()
  cmake_parse_arguments(FUZZ "" "" "SOURCES;DEPENDS" ${ARGN})
  if(VELLUM_FUZZERS)
    set(program ${name})
    add_executable(${program} ${FUZZ_SOURCES})
    target_compile_options(${program} PRIVATE -fsanitize=fuzzer)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
  else()
    set(program ${name}_random)
    add_executable(${program} ${FUZZ_SOURCES} ${PROJECT_SOURCE_DIR}/fuzz/random_driver.cpp)
    add_test(NAME ${program} COMMAND ${program} --operations 20000 --seed 1)
    set_tests_properties(${program} PROPERTIES TIMEOUT 300)
  endif()
  vellum_common(${program})
  target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/fuzz/include)
  target_link_libraries(${program} PRIVATE ${FUZZ_DEPENDS} Threads::Threads)
  set_property(GLOBAL APPEND PROPERTY VELLUM_FUZZER_PROGRAMS ${program})
endfunction()

# vellum_bench(NAME SOURCES ... DEPENDS TARGET...): a google-benchmark program; built where VELLUM_BENCHES is on.
function(vellum_bench name)
  if(NOT VELLUM_BENCHES)
    return()
  endif()
  cmake_parse_arguments(BENCH "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${BENCH_SOURCES})
  vellum_common(${name})
  target_link_libraries(${name} PRIVATE ${BENCH_DEPENDS} benchmark::benchmark benchmark::benchmark_main Threads::Threads)
  set_property(GLOBAL APPEND PROPERTY VELLUM_BENCH_PROGRAMS ${name})
endfunction()

# What was registered, for the front door: a target `fuzzers` and a file fuzzers.txt with the path of each program, and
# `benches` and benches.txt likewise.
function(vellum_write_lists)
  set(kinds fuzzer bench)
  set(plurals fuzzers benches)
  foreach(kind plural IN ZIP_LISTS kinds plurals)
    string(TOUPPER VELLUM_${kind}_PROGRAMS property)
    get_property(programs GLOBAL PROPERTY ${property})
    set(files "")
    foreach(program IN LISTS programs)
      string(APPEND files "$<TARGET_FILE:${program}>\n")
    endforeach()
    add_custom_target(${plural} DEPENDS ${programs})
    file(GENERATE OUTPUT ${PROJECT_BINARY_DIR}/${plural}.txt CONTENT "${files}")
  endforeach()
endfunction()
cmake_language(DEFER CALL vellum_write_lists)
