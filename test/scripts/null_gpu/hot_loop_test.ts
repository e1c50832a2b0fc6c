import assert from "node:assert/strict";
import { hotLoop } from "../../../scripts/null_gpu/hot_loop.ts";

/** A product's loop as RADV prints it: tiles come in, each lane's loads in a loop of its own, then 4 turns multiply. */
const PRODUCT = `==== navi31, 64 lanes
==== ACO IR: not this
BB0:
	v_fma_f32 v1, v2, v3, v4
==== Assembly: Final Assembly
BB0:
	s_mov_b32 s4, 0                                             ; be840080
	v_exp_f32_e32 v9, v9                                        ; 7e124b09
BB1:
	s_cmp_ge_u32 s4, s3                                         ; bf090304
	s_cbranch_scc1 BB9                                          ; bfa20547
BB2:
	v_mov_b32_e32 v58, v0                                       ; 7e740300
BB3:
	s_mov_b64 s[16:17], exec                                    ; be90017e
	v_cmpx_le_u32_e32 0x100, v58                                ; 7d9674ff 00000100
	s_and_not1_b64 s[16:17], s[16:17], exec                     ; 91907e10
	s_cbranch_scc0 BB5                                          ; bfa10062
BB4:
	s_mov_b64 exec, s[16:17]                                    ; befe0110
	buffer_load_b64 v[64:65], v60, s[28:31], 0 offen            ; e0540000 8047403c
	v_fma_mix_f32 v66, v64, 1.0, neg(0) op_sel_hi:[1,0,0]       ; cc200042 8a01e540
	v_add_nc_u32_e32 v58, 0x80, v58                             ; 4a7474ff 00000080
	ds_store_b128 v61, v[68:71]                                 ; db7c0000 0000443d
	s_branch BB3                                                ; bfa0ff97
BB5:
	s_barrier                                                   ; bfbd0000
	s_mov_b32 s8, 0                                             ; be880080
BB6:
	ds_load_b128 v[44:47], v40 offset:4096                      ; dbfc1000 2c000028
	v_fmac_f32_e32 v1, v59, v63                                 ; 56027f3b
	v_dual_fmac_f32 v2, v59, v63 :: v_dual_fmac_f32 v3, v1, v2  ; c8000000
	v_pk_fma_f16 v5, v6, v7, v5                                 ; cc0e4005
	v_mul_lo_u32 v8, v8, v9                                     ; d72c0008
	s_add_u32 s8, s8, 1                                         ; 80088108
	s_cmp_ge_u32 s8, 4                                          ; bf098408
	s_cbranch_scc0 BB6                                          ; bfa1ff4a
BB7:
	s_barrier                                                   ; bfbd0000
	s_add_u32 s4, s4, 16                                        ; 80049004
	s_branch BB1                                                ; bfa0fab7
BB9:
	v_fma_f32 v1, v2, v3, v4                                    ; d6130001
	s_endpgm                                                    ; bfb00000
`;

Deno.test("hotLoop() counts a loop with the constant turns of the loops in it, and nothing around it", () => {
  const loop = hotLoop(PRODUCT)!;
  assert.deepEqual(loop.counts, {
    matrix: 0,
    packed: 4,
    fma: 8,
    vector: 1 + 2 + 2 * 2 + 4, // v_mov; v_cmpx and a conversion and v_add, twice; v_mul_lo, four times
    lds: 2 + 4,
    global: 2,
    barrier: 2,
    scalar: 2 + 2 * 5 + 1 + 4 * 3 + 2,
  });
  const vector = 2 * 7 + 4 * 8; // an integer product takes four times as long
  assert.equal(loop.arithmetic, 24 / (24 + vector + 6 + 2 + 2 + 27));
});

Deno.test("hotLoop() counts as arithmetic what the matrix units do, where there is such", () => {
  const text = PRODUCT.replace(
    "v_pk_fma_f16 v5, v6, v7, v5",
    "v_wmma_f32_16x16x16_f16 v[1:8], v[9:16], v[17:24], v[1:8]",
  );
  const loop = hotLoop(text)!;
  assert.equal(loop.counts.matrix, 4);
  assert.equal(loop.counts.packed, 0);
  assert.equal(loop.arithmetic, 128 / (128 + 16 + 46 + 6 + 2 + 2 + 27));
});

Deno.test("hotLoop() takes the loop around two that have half of the arithmetic each, where their turns are not known", () => {
  const block = (name: number, code: string) => `BB${name}:\n${code}`;
  const multiply = "\tv_fma_f32 v1, v2, v3, v1\n".repeat(10);
  const text = [
    "==== navi21, 32 lanes\n==== Assembly: Final Assembly",
    block(0, "\ts_mov_b32 s4, 0"),
    block(1, "\tbuffer_load_b32 v1, v2, s[0:3], 0 offen"),
    block(2, `${multiply}\ts_cmp_ge_u32 s5, s6\n\ts_cbranch_scc0 BB2`),
    block(3, `\tv_exp_f32_e32 v1, v1`),
    block(4, `${multiply}\ts_cmp_ge_u32 s5, s6\n\ts_cbranch_scc0 BB4`),
    block(5, "\ts_cmp_ge_u32 s4, s6\n\ts_cbranch_scc0 BB1"),
    block(6, "\ts_endpgm"),
  ].join("\n");
  const loop = hotLoop(text)!;
  assert.equal(loop.counts.fma, 20);
  assert.equal(loop.counts.global, 1);
  assert.equal(loop.counts.vector, 1);
  assert.equal(loop.arithmetic, 20 / (20 + 1 + 4 + 6));
});

Deno.test("hotLoop() leaves out what only some turns do, unless they multiply there", () => {
  const branch = (code: string) =>
    PRODUCT.replace("BB5:\n", `BB5:\n\ts_cmp_lt_u32 s5, s6\n\ts_cbranch_scc1 BB55\nBB51:\n${code}BB55:\n`);
  const plain = hotLoop(PRODUCT)!;
  const rare = hotLoop(branch("\tv_exp_f32_e32 v1, v1\n".repeat(20)))!;
  assert.deepEqual(rare.counts, { ...plain.counts, scalar: plain.counts.scalar + 2 });
  assert.ok(rare.branching < rare.arithmetic && rare.arithmetic < plain.arithmetic);
  const multiplying = hotLoop(branch("\tv_fma_f32 v1, v2, v3, v1\n".repeat(20)))!;
  assert.equal(multiplying.counts.fma, plain.counts.fma + 20);
  const lanes = PRODUCT.replace(
    "BB5:\n",
    "BB5:\n\ts_cbranch_execz BB55\nBB51:\n\tv_exp_f32_e32 v1, v1\nBB55:\n",
  );
  assert.equal(hotLoop(lanes)!.counts.vector, plain.counts.vector + 1); // some lanes are on, or there would be no branch
});

Deno.test("hotLoop() counts more cycles for a vector instruction on narrower units, and fewer for fewer lanes", () => {
  const shareOf = (gpu: string) => hotLoop(PRODUCT.replace("navi31, 64 lanes", gpu))!.arithmetic;
  const share = (passes: number) => 12 * passes / ((12 + 7 + 4 * 4) * passes + 6 + 2 + 2 + 27);
  assert.equal(shareOf("navi31, 64 lanes"), share(2));
  assert.equal(shareOf("navi31, 32 lanes"), share(1));
  assert.equal(shareOf("vega10, 64 lanes"), share(4));
});

Deno.test("hotLoop() finds none where no loop multiplies, or where the driver printed no code", () => {
  const still = PRODUCT.replaceAll(/v_(fmac|pk_fma|dual_fmac)_\w+/g, "v_mov_b32");
  assert.equal(hotLoop(still), undefined);
  assert.equal(hotLoop("==== gfx1201, 64 lanes\n==== ACO IR: no more"), undefined);
});
