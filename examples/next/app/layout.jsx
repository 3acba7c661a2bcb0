export const metadata = { title: 'Lowrank in a Next route' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
