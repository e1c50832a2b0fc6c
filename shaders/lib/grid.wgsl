// A dimension of a grid is limited to 65535 workgroups, so large grids are folded into two dimensions.
// Some of the last workgroups may then be surplus: kernels return where the number is too large.
fn workgroup_number(group: vec3u, groups: vec3u) -> u32 {
  return group.x + group.y * groups.x;
}
