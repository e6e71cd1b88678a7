// How smooth the map stays with 20,000 stations and 5,000 cars while it is dragged, and what it keeps in memory.
//   node smooth.mjs [LEAST FRAMES A SECOND]
import { launch } from './browser.mjs';
import { CARS, crowd, STATIONS } from './crowd.mjs';

const SECONDS = 8;
const least = Number(process.argv[2] ?? 0);

const server = await crowd();
const browser = await launch();
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page
  .getByText(new RegExp(`${STATIONS}|20.000`))
  .first()
  .waitFor();
await page.waitForTimeout(3_000);

async function measure(name, zooms) {
  for (let one = 0; one < zooms; one++) {
    await page.keyboard.press('+');
    await page.waitForTimeout(600);
  }
  await page.evaluate(() => {
    window.frames_ = [];
    const frame = (at) => {
      window.frames_.push(at);
      window.measuring = requestAnimationFrame(frame);
    };
    window.measuring = requestAnimationFrame(frame);
  });
  const [x, y] = [900, 450];
  const end = Date.now() + SECONDS * 1_000;
  while (Date.now() < end) {
    await page.mouse.move(x, y);
    await page.mouse.down();
    for (let step = 1; step <= 40; step++) {
      const turn = (step / 40) * 2 * Math.PI;
      await page.mouse.move(x + 260 * Math.sin(turn), y + 160 * (1 - Math.cos(turn)));
      await page.waitForTimeout(16);
    }
    await page.mouse.up();
  }
  const frames = await page.evaluate(() => {
    cancelAnimationFrame(window.measuring);
    return window.frames_;
  });
  const gaps = frames
    .slice(1)
    .map((at, index) => at - frames[index])
    .sort((one, other) => one - other);
  const rate = (1_000 * gaps.length) / (frames.at(-1) - frames[0]);
  const slow = gaps[Math.floor(gaps.length * 0.99)];
  console.log(
    `${name}: ${rate.toFixed(1)} frames/s while panning, 99 % of the frames within ${slow.toFixed(0)} ms`,
  );
  return rate;
}

console.log(`${STATIONS} stations, ${CARS} cars, 2,500 statuses a second, 1440 x 900, headless, no GPU`);
await page.locator('.map').last().focus();
const rates = [
  await measure('whole country', 0),
  await measure('a few states', 4),
  await measure('one region', 4),
];
const heap = await page.evaluate(() => performance.memory?.usedJSHeapSize ?? 0);
console.log(`memory of the page: ${(heap / 1e6).toFixed(0)} MB`);
await browser.close();
server.close();
server.closeAllConnections();
if (Math.min(...rates) < least) {
  console.error(`fewer than ${least} frames a second`);
  process.exit(1);
}
