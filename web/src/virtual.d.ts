declare module 'virtual:brazil' {
  /** Borders: each ring as steps in longitude and latitude, in thousandths of a degree. */
  interface Shape {
    name: string;
    rings: number[][];
  }
  interface City {
    name: string;
    state: string;
    latitude: number;
    longitude: number;
  }
  export const states: Shape[];
  export const neighbours: Shape[];
  export const cities: City[];
}
