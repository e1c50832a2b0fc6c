/** A run that has begun, as what prepares its loop sees it. */
export interface BegunRun extends Disposable {
  /** Pictures. */
  readonly B: number;
  /** The model runs on the negative prompts too. */
  readonly guided: boolean;
  /**
   * Tensors that were made for the loop, the embeddings first: they are freed when this is over, or where the run fails
   * on its way there.
   */
  readonly owned: DisposableStack;
}
