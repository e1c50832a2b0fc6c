/** Advice to a person for whom set-up could not open an adapter. */
import type { Distribution } from "./distribution.ts";

const mesa = {
  debian: "sudo apt-get install mesa-vulkan-drivers libvulkan1",
  fedora: "sudo dnf install mesa-vulkan-drivers vulkan-loader",
  arch: "sudo pacman -S vulkan-swrast vulkan-icd-loader",
  suse: "sudo zypper install libvulkan_lvp libvulkan1",
};

/** One sentence with the command for this system. */
export function advice(os: typeof Deno.build.os, { ids, codename }: Distribution): string {
  if (os === "darwin") {
    return "allow Dawn's library with `xattr -dr com.apple.quarantine node_modules`, and update macOS if that is not it";
  }
  if (os === "windows") {
    return "install the driver of your graphics card with `start ms-settings:windowsupdate-optionalupdates`";
  }
  if (codename === "bookworm") { // its own Mesa is too old
    return "add bookworm-backports to the apt sources, then run " +
      "`sudo apt-get update && sudo apt-get install -t bookworm-backports mesa-vulkan-drivers libvulkan1`";
  }
  const command = Object.entries(mesa).find(([id]) => ids.some((own) => own.includes(id)))?.[1];
  if (command) return `install Mesa's Vulkan drivers: \`${command}\``;
  return "install a Vulkan loader and Mesa's Vulkan drivers (lavapipe) with the system's package manager";
}
