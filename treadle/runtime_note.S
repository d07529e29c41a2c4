// A note in every program that brings Treadle: it needs no shim, and must not get one
// (treadle/shim/start.cpp, treadle/cli/program_file.cpp).
  .section .note.treadle, "a", @note
  .balign 4
  .long 2f - 1f
  .long 0
  .long 1
1:
  .asciz "Treadle"
2:
  .balign 4

  .section .note.GNU-stack, "", @progbits
