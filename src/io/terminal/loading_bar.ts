import { Bar } from "../../core/bar.ts";
import { hidesDownloads, processEnv } from "../hub/settings.ts";
import type { Progress } from "../hub/resolve_repo.ts";
import type { UploadProgress } from "../upload/upload.ts";

/**
 * An `onProgress` for `fromPretrained`: a bar for each file that is downloaded, and one for the way to the
 * GPU. Nothing is shown of work that takes less than a second, nor of downloads where
 * HF_HUB_DISABLE_PROGRESS_BARS is set.
 */
export function loadingBar(): (progress: Progress | UploadProgress) => void {
  let bar: Bar | undefined;
  let shown = "";
  return (progress) => {
    if ("file" in progress && hidesDownloads(processEnv)) return;
    const { loaded, total = loaded } = progress;
    const label = "file" in progress ? progress.file : "to the GPU";
    if (label !== shown) {
      bar?.end();
      bar = new Bar(total, { label, unit: "B", silentMs: 1000 });
      shown = label;
    }
    bar!.update(loaded);
    if (loaded === total) {
      bar!.end();
      shown = "";
    }
  };
}
