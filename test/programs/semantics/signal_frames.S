// What a signal must not change: registers and the red zone below the stack pointer.

// int registers_survive(const void* unreadable): fills the registers with patterns, reads from `unreadable`, whose
// fault a handler mends, and returns 0 if all registers and the 128 bytes below the stack are as they were.
.text
.globl registers_survive
.type registers_survive, @function
registers_survive:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rdi, %rax
  movq $0x1111111111111111, %rbx
  movq $0x2222222222222222, %rcx
  movq $0x3333333333333333, %rdx
  movq $0x4444444444444444, %rsi
  movq $0x5555555555555555, %rdi
  movq $0x6666666666666666, %rbp
  movq $0x7777777777777777, %r8
  movq $0x8888888888888888, %r9
  movq $0x9999999999999999, %r10
  movq $0xAAAAAAAAAAAAAAAA, %r11
  movq $0xBBBBBBBBBBBBBBBB, %r12
  movq $0xCCCCCCCCCCCCCCCC, %r13
  movq $0xDDDDDDDDDDDDDDDD, %r14
  movq $0xEEEEEEEEEEEEEEEE, %r15
  movq %rbx, -8(%rsp)
  movq %rcx, -64(%rsp)
  movq %rdx, -128(%rsp)
  stc                         // a flag that must survive too
  movb (%rax), %al            // the fault
  jnc 1f
  cmpq %rbx, -8(%rsp)
  jne 1f
  cmpq %rcx, -64(%rsp)
  jne 1f
  cmpq %rdx, -128(%rsp)
  jne 1f
  movq $0x1111111111111111, %rax
  cmpq %rax, %rbx
  jne 1f
  leaq (%rax, %rax), %rax
  cmpq %rax, %rcx
  jne 1f
  movq $0x3333333333333333, %rax
  cmpq %rax, %rdx
  jne 1f
  movq $0x4444444444444444, %rax
  cmpq %rax, %rsi
  jne 1f
  movq $0x5555555555555555, %rax
  cmpq %rax, %rdi
  jne 1f
  movq $0x6666666666666666, %rax
  cmpq %rax, %rbp
  jne 1f
  movq $0x7777777777777777, %rax
  cmpq %rax, %r8
  jne 1f
  movq $0x8888888888888888, %rax
  cmpq %rax, %r9
  jne 1f
  movq $0x9999999999999999, %rax
  cmpq %rax, %r10
  jne 1f
  movq $0xAAAAAAAAAAAAAAAA, %rax
  cmpq %rax, %r11
  jne 1f
  movq $0xBBBBBBBBBBBBBBBB, %rax
  cmpq %rax, %r12
  jne 1f
  movq $0xCCCCCCCCCCCCCCCC, %rax
  cmpq %rax, %r13
  jne 1f
  movq $0xDDDDDDDDDDDDDDDD, %rax
  cmpq %rax, %r14
  jne 1f
  movq $0xEEEEEEEEEEEEEEEE, %rax
  cmpq %rax, %r15
  jne 1f
  xorl %eax, %eax
  jmp 2f
1:
  movl $1, %eax
2:
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbp
  popq %rbx
  ret
.size registers_survive, . - registers_survive

// int call_keeps_registers(long number, long first): a system call; returns 0 if it changes no register but rax, rcx
// and r11.
.globl call_keeps_registers
.type call_keeps_registers, @function
call_keeps_registers:
  pushq %rbx
  pushq %rbp
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdi, %rbx
  movq $0x2222222222222222, %rbp
  movq $0x3333333333333333, %rsi
  movq $0x4444444444444444, %rdx
  movq $0x5555555555555555, %r10
  movq $0x6666666666666666, %r8
  movq $0x7777777777777777, %r9
  movq $0x8888888888888888, %r12
  movq $0x9999999999999999, %r13
  movq $0xAAAAAAAAAAAAAAAA, %r14
  movq $0xBBBBBBBBBBBBBBBB, %r15
  syscall
  cmpq %rdi, %rbx
  jne 1b
  movq $0x2222222222222222, %rax
  cmpq %rax, %rbp
  jne 1b
  movq $0x3333333333333333, %rax
  cmpq %rax, %rsi
  jne 1b
  movq $0x4444444444444444, %rax
  cmpq %rax, %rdx
  jne 1b
  movq $0x5555555555555555, %rax
  cmpq %rax, %r10
  jne 1b
  movq $0x6666666666666666, %rax
  cmpq %rax, %r8
  jne 1b
  movq $0x7777777777777777, %rax
  cmpq %rax, %r9
  jne 1b
  movq $0x8888888888888888, %rax
  cmpq %rax, %r12
  jne 1b
  movq $0x9999999999999999, %rax
  cmpq %rax, %r13
  jne 1b
  movq $0xAAAAAAAAAAAAAAAA, %rax
  cmpq %rax, %r14
  jne 1b
  movq $0xBBBBBBBBBBBBBBBB, %rax
  cmpq %rax, %r15
  jne 1b
  xorl %eax, %eax
  jmp 2b
.size call_keeps_registers, . - call_keeps_registers

// void fill_vectors(const unsigned char seed[16]); void store_vectors(unsigned char out[256]): the sixteen SSE
// registers.
.globl fill_vectors
.type fill_vectors, @function
fill_vectors:
  movdqu (%rdi), %xmm0
  movdqa %xmm0, %xmm1
  paddb %xmm0, %xmm1
  movdqa %xmm1, %xmm2
  paddb %xmm0, %xmm2
  movdqa %xmm2, %xmm3
  paddb %xmm0, %xmm3
  movdqa %xmm3, %xmm4
  paddb %xmm0, %xmm4
  movdqa %xmm4, %xmm5
  paddb %xmm0, %xmm5
  movdqa %xmm5, %xmm6
  paddb %xmm0, %xmm6
  movdqa %xmm6, %xmm7
  paddb %xmm0, %xmm7
  movdqa %xmm7, %xmm8
  paddb %xmm0, %xmm8
  movdqa %xmm8, %xmm9
  paddb %xmm0, %xmm9
  movdqa %xmm9, %xmm10
  paddb %xmm0, %xmm10
  movdqa %xmm10, %xmm11
  paddb %xmm0, %xmm11
  movdqa %xmm11, %xmm12
  paddb %xmm0, %xmm12
  movdqa %xmm12, %xmm13
  paddb %xmm0, %xmm13
  movdqa %xmm13, %xmm14
  paddb %xmm0, %xmm14
  movdqa %xmm14, %xmm15
  paddb %xmm0, %xmm15
  ret
.size fill_vectors, . - fill_vectors

.globl store_vectors
.type store_vectors, @function
store_vectors:
  movdqu %xmm0, (%rdi)
  movdqu %xmm1, 16(%rdi)
  movdqu %xmm2, 32(%rdi)
  movdqu %xmm3, 48(%rdi)
  movdqu %xmm4, 64(%rdi)
  movdqu %xmm5, 80(%rdi)
  movdqu %xmm6, 96(%rdi)
  movdqu %xmm7, 112(%rdi)
  movdqu %xmm8, 128(%rdi)
  movdqu %xmm9, 144(%rdi)
  movdqu %xmm10, 160(%rdi)
  movdqu %xmm11, 176(%rdi)
  movdqu %xmm12, 192(%rdi)
  movdqu %xmm13, 208(%rdi)
  movdqu %xmm14, 224(%rdi)
  movdqu %xmm15, 240(%rdi)
  ret
.size store_vectors, . - store_vectors

// long bare_call(long number, long a, long b): a system call that touches no vector register in between.
.globl bare_call
.type bare_call, @function
bare_call:
  movq %rdi, %rax
  movq %rsi, %rdi
  movq %rdx, %rsi
  xorl %edx, %edx
  xorl %r10d, %r10d
  syscall
  ret
.size bare_call, . - bare_call

.section .note.GNU-stack, "", @progbits
