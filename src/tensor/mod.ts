/** Tensors: recorded arithmetic and views on the GPU. @module */
export type { Settings } from "../gpu/shader/compose.ts";
export { ELEMENT_MAIN, GRID, WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
export { type Snippet, snippet, type SourcePart } from "../gpu/shader/snippet.ts";
export type { Expr } from "../graph/expr.ts";
export { ACTIVATIONS } from "../graph/fusion/library.ts";
export type { Axes, Candidate, FirstPass, KernelSpec, Operand, Pass } from "../graph/node.ts";
export type { NestedValues, Values } from "../core/host_values.ts";
export {
  type CreateOptions,
  empty,
  emptyLike,
  full,
  fullLike,
  ones,
  onesLike,
  tensor,
  zeros,
  zerosLike,
} from "./create.ts";
export { type CustomKernel, kernel } from "./kernel.ts";
export { cat, partsOf, stack, type Term, weightedSum } from "./join.ts";
export { isWanted, named, watched, watchedToo, type Watcher } from "./named.ts";
export { currentPath, labelled, pathLength } from "./path.ts";
export type { PadOptions } from "./moves.ts";
export { pointwise, type Value, where } from "./pointwise.ts";
export { type Operators, provideOperators } from "./operators.ts";
export { progress, type ProgressOptions } from "./progress.ts";
export {
  type ChoiceOptions,
  type KernelOptions,
  type PointwiseOptions,
  recordChoice,
  recordKernel,
  recordPointwise,
} from "./record.ts";
export { arange, eye, linspace, meshgrid } from "./ranges.ts";
export { free, release, retain, Scope, scope } from "./scope.ts";
export type { TensorArithmetic } from "./tensor_arithmetic.ts";
export type { TensorFunctions } from "./tensor_functions.ts";
export type { SortOptions, TensorOrder, TopkOptions } from "./tensor_order.ts";
export type { QuantileOptions } from "./quantile.ts";
export type { ReduceOptions } from "./reduce.ts";
export { type Rows, rowsAlong } from "./rows.ts";
export type { Selected } from "./sort.ts";
export { type NestedList, Tensor, type VarianceOptions } from "./tensor.ts";
export { deviceOf, type TensorBase } from "./tensor_base.ts";
export type { TensorMoves } from "./tensor_moves.ts";
export type { TensorViews } from "./tensor_views.ts";
