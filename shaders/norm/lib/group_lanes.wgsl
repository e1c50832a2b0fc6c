// A workgroup's lanes over a slice of a picture, some pixels of a few adjacent groups of channels: ACROSS lanes lie side by
// side over the channels, so that they load what lies side by side, PER of them in each group; ROWS times as many walk the
// pixels, and lanes that are left over do nothing. A kernel that uses it is `run(number, lane)`, for the workgroup of that
// number. With lib/workgroup_main.wgsl.
// Host sets: WG, ACROSS, PER.
const WG: u32 = 256;
const ACROSS: u32 = 8;
const PER: u32 = 4;
const ROWS: u32 = WG / ACROSS;
var<workgroup> partial: array<vec2f, WG>;

/// Two sums over the lanes of each group; each lane gets those of its own.
fn group_sums(values: vec2f, lane: u32) -> vec2f {
  let row = lane / ACROSS;
  let column = lane % ACROSS;
  let in_group = column % PER;
  workgroupBarrier(); // sums before these may still be read
  partial[lane] = values;
  for (var rows = ROWS; rows > 1u; rows = (rows + 1u) / 2u) {
    let half = (rows + 1u) / 2u;
    workgroupBarrier();
    if (row + half < rows) { partial[lane] += partial[lane + half * ACROSS]; }
  }
  for (var lanes = PER; lanes > 1u; lanes = (lanes + 1u) / 2u) {
    let half = (lanes + 1u) / 2u;
    workgroupBarrier();
    if (row == 0u && in_group + half < lanes) { partial[lane] += partial[lane + half]; }
  }
  workgroupBarrier();
  return partial[column - in_group];
}
