/** Tensors: recorded arithmetic and views on the GPU. @module */
export type { SourcePart } from "../gpu/pipelines.ts";
export type { Expr } from "../graph/expr.ts";
export type { KernelSpec, Operand } from "../graph/node.ts";
export { full, ones, tensor, zeros } from "./create.ts";
export { cat, stack, type Term, weightedSum } from "./join.ts";
export { currentPath, isWanted, labelled, named, watched, type Watcher } from "./named.ts";
export { pointwise, type Value, where } from "./pointwise.ts";
export { progress, type ProgressOptions } from "./progress.ts";
export {
  deviceOf,
  type KernelOptions,
  type PointwiseOptions,
  recordKernel,
  recordPointwise,
} from "./record.ts";
export { hold, letGo, release, Scope, scope } from "./scope.ts";
export { GRID, REDUCTION } from "./sources.ts";
export type { TensorArithmetic } from "./arithmetic.ts";
export type { SortOptions, TensorOrder, TopkOptions } from "./order.ts";
export type { QuantileOptions } from "./quantile.ts";
export type { ReduceOptions } from "./reduce.ts";
export type { Selected } from "./sort.ts";
export { Tensor } from "./tensor.ts";
export type { TensorBase } from "./tensor_base.ts";
export type { TensorViews } from "./views.ts";
