import { findVulkanDriver } from '../../scripts/lib/vulkanDriver.mjs';

/** Before the workers of a WebGPU project start: they inherit the driver through the environment. */
export async function setup() {
  const driver = await findVulkanDriver();
  Object.assign(process.env, driver.env);
  console.log(`Vulkan driver: ${driver.source}`);
}
