// The projection of web maps, in units of the whole world: 0 to 1 from west to east and from north to south.
import type { Map as LeafletMap } from 'leaflet';

const TILE = 256;

export function mercatorX(longitude: number): number {
  return longitude / 360 + 0.5;
}

export function mercatorY(latitude: number): number {
  const sine = Math.sin((latitude * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

/** Where the map is: pixels of the screen = units × scale − origin. */
export interface View {
  scale: number;
  x: number;
  y: number;
  width: number;
  height: number;
  zoom: number;
  /** How far beyond the edges is drawn, so that a small move shows nothing empty. */
  margin: { x: number; y: number };
}

export function viewOf(map: LeafletMap, margin: { x: number; y: number }): View {
  const { min } = map.getPixelBounds();
  const size = map.getSize();
  const zoom = map.getZoom();
  return {
    scale: TILE * 2 ** zoom,
    x: min?.x ?? 0,
    y: min?.y ?? 0,
    width: size.x,
    height: size.y,
    zoom,
    margin,
  };
}

export function isVisible({ width, height, margin }: View, x: number, y: number): boolean {
  return x > -margin.x && x < width + margin.x && y > -margin.y && y < height + margin.y;
}
