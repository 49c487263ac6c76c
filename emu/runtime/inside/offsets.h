/* SPDX-License-Identifier: Apache-2.0 */
/* What entry.S and inside.h both say of an InsideSlot; the latter checks it. */
#define INSIDE_STUBS 0x550f00000000 /* where stubs lie, from which threads come */
#define INSIDE_ASK_SIZE 17 /* of what makes the call at its site, in front of a stub's own */
#define INSIDE_REQUEST 1021 /* a call that the claimed kernel has not got */
#define INSIDE_STATE 0x550f00200000
#define INSIDE_SLOTS 0x550f00210000
#define INSIDE_SLOT_SIZE 32768
#define INSIDE_SLOTS_END 0x550f00290000
#define INSIDE_STACK 32704 /* where the stack of a slot begins, which grows down */

#define SLOT_BUSY 0
#define SLOT_LEAVES 8
#define SLOT_FROM 16
#define SLOT_RAX 24
#define SLOT_RDI 32
#define SLOT_RSI 40
#define SLOT_RDX 48
#define SLOT_R10 56
#define SLOT_R8 64
#define SLOT_R9 72
#define SLOT_RSP 80
#define SLOT_RBX 88
#define SLOT_RBP 96
#define SLOT_R12 104
#define SLOT_R13 112
#define SLOT_R14 120
#define SLOT_R15 128
#define SLOT_FLAGS 136
#define SLOT_GOES_TO 144
#define SLOT_ASKS_AT 152
